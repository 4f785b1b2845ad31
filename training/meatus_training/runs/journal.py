"""What a training leaves to read: JSON lines, pictures, and TensorBoard where it is installed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meatus.atomic import write_whole
from meatus.errors import OutputError

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # the package is no requirement
    SummaryWriter = None  # type: ignore[assignment, misc]


class Journal:
    """Holds the open TensorBoard writer; a journal that does not write stays silent."""

    def __init__(self, folder: Path, step: int, *, writes: bool) -> None:
        """``step`` is where training goes on: later lines of a broken run are forgotten."""
        self.folder, self.writes = folder, writes
        self.curve = folder / "curve.jsonl"
        self.board: Any = None
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            _forget(self.curve, step)
            if SummaryWriter is not None:
                self.board = SummaryWriter(folder / "tensorboard", purge_step=step)

    def line(self, step: int, values: dict[str, float]) -> None:
        """Append the numbers of ``step`` to ``curve.jsonl``.

        Raises ``OutputError`` where the disk refuses, as ``picture`` does; a line that was cut
        short is forgotten when the training goes on.
        """
        if not self.writes:
            return
        entry = {"step": step} | {name: float(f"{v:.5g}") for name, v in values.items()}
        try:
            with self.curve.open("a") as lines:
                lines.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(
                f"{self.curve}: cannot be written ({error.strerror}); make room, and run the same "
                "command again to go on."
            ) from error
        for name, value in values.items():
            if self.board is not None:
                self.board.add_scalar(name, value, step)

    def picture(self, step: int, title: str, sheet: NDArray[np.uint8]) -> None:
        """Write ``pictures/step_<step>.png``: grey values (Y, X) or colours (Y, X, 3)."""
        if not self.writes:
            return
        write_whole(self.folder / "pictures" / f"step_{step:07d}.png", png_bytes(sheet))
        if self.board is not None:
            self.board.add_image(title, sheet, step, dataformats="HWC"[: sheet.ndim])

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A PNG file of grey values (Y, X) or colours (Y, X, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _forget(curve: Path, step: int) -> None:
    """Drop the lines after ``step``, and one that was cut short."""
    if not curve.exists():
        return
    kept = []
    for line in curve.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except json.JSONDecodeError:
            break
    write_whole(curve, "".join(kept).encode())
