"""What a training leaves to read: JSON lines, pictures, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # the package is no requirement
    SummaryWriter = None  # type: ignore[assignment, misc]

LOSSES = ("critic_fake", "critic_real", "adversarial", "nce", "identity", "generator")

SHOWN = 4  # pairs in a picture


class Meter:
    """Sums since the journal's last line, kept on the device: to read them is to wait for it."""

    def __init__(self, epoch: Tensor) -> None:
        """``epoch`` (2,): generator losses of the unfinished epoch, and their number."""
        self.epoch = epoch
        self.losses = torch.zeros(len(LOSSES), device=epoch.device)
        self._start()

    def _start(self) -> None:
        self.losses.zero_()
        self.steps, self.waited_s, self.started_s = 0, 0.0, time.monotonic()

    def add(self, losses: Tensor, waited_s: float) -> None:
        """Count a step with ``losses`` (6,) that waited so long for its slices."""
        self.losses += losses
        self.epoch[0] += losses[-1]
        self.epoch[1] += 1
        self.steps += 1
        self.waited_s += waited_s

    def read(self) -> dict[str, float]:
        """Mean losses, steps per second, and the share of the time spent waiting for slices."""
        values = dict(zip(LOSSES, (self.losses / self.steps).tolist(), strict=True))
        spent = time.monotonic() - self.started_s
        values |= {"steps_per_s": self.steps / spent, "waiting_share": self.waited_s / spent}
        self._start()
        return values

    def end_epoch(self) -> float:
        """The epoch's mean generator loss; the next one starts."""
        mean = float(self.epoch[0] / self.epoch[1])
        self.epoch.zero_()
        return mean


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
        """Append the numbers of ``step`` to ``curve.jsonl``."""
        if not self.writes:
            return
        entry = {"step": step} | {name: float(f"{v:.5g}") for name, v in values.items()}
        with self.curve.open("a") as lines:
            lines.write(json.dumps(entry) + "\n")
        for name, value in values.items():
            if self.board is not None:
                self.board.add_scalar(name, value, step)

    def picture(self, step: int, images: list[Tensor]) -> None:
        """Columns of slices (N, 1, H, W) in [-1, 1], one row for each of the first pairs."""
        if not self.writes:
            return
        sheet = _sheet([image[:SHOWN] for image in images])
        file = self.folder / "pictures" / f"step_{step:07d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(sheet).save(file)
        if self.board is not None:
            self.board.add_image("source, translated, target", sheet, step, dataformats="HW")

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def _sheet(images: list[Tensor]) -> NDArray[np.uint8]:
    """(N, 1, H, W) tensors side by side: (N H, len W) grey values."""
    columns = [image.detach().float().cpu().clamp(-1, 1).flatten(0, 2) for image in images]
    grey = np.hstack([column.numpy() for column in columns])
    return np.asarray(np.rint((grey + 1) * 127.5), dtype=np.uint8)


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
    part = curve.with_suffix(".part")
    part.write_text("".join(kept))
    part.replace(curve)
