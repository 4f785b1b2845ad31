"""Scans that are painted while networks train, kept in a folder that all of them read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.errors import TrainingError
from training.phantom.contours.read import Patient
from training.phantom.generate import Recipe
from training.phantom.stream import StreamSettings, paint_sample
from training.prepare.config import PrepareSettings
from training.prepare.files import array_bytes, write_whole
from training.segmentation.choose import LABELS, VOXELS
from training.segmentation.items import Item, Labelled, open_item
from training.segmentation.settings import SegmentSettings

PATIENCE_S = 900.0  # for the first scan: a slow core needs a minute
LOOK_EVERY_S = 0.2

# The stream of random numbers that chooses scans; see windows.PLACING.
CHOOSING = 3


@dataclass(frozen=True)
class Canvas:
    """An endless cohort: what is painted, and the folder that it fills, number by number."""

    folder: Path
    settings: StreamSettings
    patients: Sequence[Patient] = ()

    @property
    def fingerprint(self) -> str:
        return self.folder.name

    def paint(self, number: int, device: torch.device) -> bool:
        """Paint scan ``number``; false where that was done before."""
        item = self.item(f"{number:06d}")
        if item.labels.exists():
            return False
        sample = paint_sample(self.settings, number, self.patients, device)
        write_whole(item.voxels, array_bytes(sample.voxels))
        write_whole(item.labels, array_bytes(sample.labels))  # last: it tells that both are there
        return True

    def item(self, name: str) -> Item:
        return Item(name, self.folder / f"{name}{VOXELS}", self.folder / f"{name}{LABELS}")

    def painted(self) -> list[str]:
        """Names of the scans that are there by now, in order."""
        if not self.folder.is_dir():
            return []
        found = (entry.name for entry in os.scandir(self.folder))
        return sorted(name.removesuffix(LABELS) for name in found if name.endswith(LABELS))


@dataclass(frozen=True)
class PaintedScans:
    """Any scan of a canvas, the next one too, as far as it is painted when a window is cut.

    So a training never waits but for the first scan; that two trainings see the same windows is
    given up for it.
    """

    canvas: Canvas
    seed: int = 0
    patience_s: float = PATIENCE_S

    @property
    def fingerprint(self) -> str:
        return self.canvas.fingerprint

    def __len__(self) -> int:
        return 0

    def scan(self, number: int) -> Labelled:
        """Raises ``TrainingError`` where none is painted in ``patience_s``."""
        until = time.monotonic() + self.patience_s
        while not (names := self.canvas.painted()):
            if time.monotonic() > until:
                raise TrainingError(
                    f"{self.canvas.folder}: no scan in {self.patience_s:.0f} s; start the command "
                    "with more --painters and see what they say."
                )
            time.sleep(LOOK_EVERY_S)
        draw = np.random.default_rng((self.seed, number, CHOOSING))
        return open_item(self.canvas.item(names[int(draw.integers(len(names)))]))


def canvas_for(
    work: Path, settings: SegmentSettings, prepared: PrepareSettings, patients: Sequence[Patient]
) -> Canvas:
    """The endless cohort that ``settings`` describe, in a folder of its own below ``work``."""
    source = settings.phantoms
    recipe = Recipe(
        mix=source.mix,
        random_share=source.random_share,
        stripped_share=source.stripped_share,
        difficult_share=source.difficult_share,
    )
    seen = (prepared.crop, prepared.normalisation)
    names = sorted(patient.subject for patient in patients)
    told = repr((recipe, source.sites, source.unusual_share, source.seed, seen, names))
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    stream = StreamSettings(
        prepared.spec(), recipe, source.sites, source.unusual_share, source.seed
    )
    return Canvas(work / "painted" / key, stream, patients)
