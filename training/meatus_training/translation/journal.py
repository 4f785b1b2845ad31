"""What the training of the translation tells its journal: mean losses, and pictures."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meatus_training.runs.journal import Journal

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


def write_picture(journal: Journal, step: int, images: list[Tensor]) -> None:
    """Columns of slices (N, 1, H, W) in [-1, 1], one row for each of the first pairs."""
    if journal.writes:
        sheet = _sheet([image[:SHOWN] for image in images])
        journal.picture(step, "source, translated, target", sheet)


def _sheet(images: list[Tensor]) -> NDArray[np.uint8]:
    """(N, 1, H, W) tensors side by side: (N H, len W) grey values."""
    columns = [image.detach().float().cpu().clamp(-1, 1).flatten(0, 2) for image in images]
    grey = np.hstack([column.numpy() for column in columns])
    return np.asarray(np.rint((grey + 1) * 127.5), dtype=np.uint8)
