"""What may be wrong with a contour file."""

from __future__ import annotations

from pathlib import Path

from meatus_phantom.errors import PhantomError


class ContourError(PhantomError):
    """One line: the file, the structure, and what is wrong with it."""

    def __init__(self, path: Path, structure: str | None, problem: str) -> None:
        where = f"{path}" if structure is None else f"{path}: '{structure}'"
        line = f"{where}: {problem}."
        super().__init__(" ".join(line.split()))
