"""What a user of the phantom commands can put right."""

from __future__ import annotations

from pathlib import Path

from meatus.errors import MeatusError


class PhantomError(MeatusError):
    """Ends in one line: what was found, what was expected, what to do."""


class ContourError(PhantomError):
    """One line: the file, the structure, and what is wrong with it."""

    def __init__(self, path: Path, structure: str | None, problem: str) -> None:
        where = f"{path}" if structure is None else f"{path}: '{structure}'"
        line = f"{where}: {problem}."
        super().__init__(" ".join(line.split()))
