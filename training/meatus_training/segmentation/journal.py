"""What the training of a segmentation tells its journal: mean losses, and pictures."""

from __future__ import annotations

import time

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from meatus_training.hard_examples import IGNORE
from meatus_training.runs.journal import Journal
from meatus_training.segmentation.step import Stepped

SHOWN = 4  # windows in a picture

# Red, green, blue as the challenge's pages show them; grey where nothing is known.
COLOURS = {1: (230, 60, 60), 2: (60, 200, 60), 3: (70, 110, 255), IGNORE: (128, 128, 128)}


class Meter:
    """Sums since the last line of the curve, kept on the device: to read them is to wait for it."""

    def __init__(self, device: torch.device) -> None:
        self.losses = torch.zeros(2, device=device)
        self._start()

    def _start(self) -> None:
        self.losses.zero_()
        self.steps, self.skipped, self.waited_s = 0, 0, 0.0
        self.started_s = time.monotonic()

    def add(self, stepped: Stepped, waited_s: float) -> None:
        """Count a step that waited so long for its windows."""
        if stepped.finite:
            self.losses += stepped.losses
        else:
            self.skipped += 1
        self.steps += 1
        self.waited_s += waited_s

    def read(self, fabric: Fabric) -> dict[str, float]:
        """Mean losses over all processes, steps per second, the share of the time waiting."""
        means = fabric.all_reduce(self.losses / max(self.steps - self.skipped, 1))
        assert isinstance(means, Tensor)
        entropy, dice = means.tolist()
        spent = max(time.monotonic() - self.started_s, 1e-9)
        values = {
            "loss": entropy + dice,
            "entropy": entropy,
            "dice": dice,
            "skipped": float(self.skipped),
            "steps_per_s": self.steps / spent,
            "waiting_share": self.waited_s / spent,
        }
        self._start()
        return values


def write_picture(journal: Journal, step: int, stepped: Stepped) -> None:
    """The slice of each window that shows most: the scan, its labels, what the network says."""
    if journal.writes:
        shown = (stepped.images[:SHOWN], stepped.labels[:SHOWN], stepped.found[:SHOWN])
        journal.picture(step, "scan, labels, network", contact_sheet(*shown))


def contact_sheet(images: Tensor, labels: Tensor, found: Tensor) -> NDArray[np.uint8]:
    """(N Y, 3 X, 3) colours from images (N, 1, Z, Y, X) and two label maps (N, Z, Y, X)."""
    rows = []
    for image, truth, guess in zip(images[:, 0], labels, found, strict=True):
        shown = int(((truth != 0) & (truth != IGNORE)).sum((1, 2)).argmax())
        unit = (image[shown].float().nan_to_num().clamp(-1, 1) + 1) * 127.5
        grey = unit.cpu().numpy().round().astype(np.uint8)
        parts = [_coloured(grey, part[shown].cpu().numpy()) for part in (truth, guess)]
        rows.append(np.hstack([np.repeat(grey[..., None], 3, axis=2), *parts]))
    return np.vstack(rows)


def _coloured(grey: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``grey`` (Y, X) with the structures laid over it, half transparent: (Y, X, 3)."""
    picture = np.repeat(grey[..., None], 3, axis=2)
    for number, colour in COLOURS.items():
        inside = labels == number
        picture[inside] = picture[inside] // 2 + np.array(colour, dtype=np.uint8) // 2
    return picture
