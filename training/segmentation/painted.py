"""Scans that are painted while the network trains, as many as it wants."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from inference.spec import Spec
from training.phantom.contours.read import Patient
from training.phantom.generate import CPU, Recipe
from training.phantom.stream import StreamSettings, paint_sample
from training.segmentation.items import Labelled, marked_places
from training.segmentation.settings import SegmentSettings


@dataclass(frozen=True)
class PaintedScans:
    """Phantoms without end, each for a few windows, painted on ``device``.

    Scan number n is the same whoever paints it, so that processes may share the numbers and a
    training may go on at any. Only the slices about the ears are painted; the last scan is kept.
    """

    settings: StreamSettings
    patients: Sequence[Patient] = ()
    device: torch.device = CPU
    last: dict[int, Labelled] = field(default_factory=dict, repr=False)

    @property
    def fingerprint(self) -> str:
        names = sorted(patient.subject for patient in self.patients)
        told = repr((self.settings.recipe, self.settings.sites, self.settings.window, names))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return 0

    def scan(self, number: int) -> Labelled:
        scan = number // self.settings.windows_per_scan
        if scan not in self.last:
            sample = paint_sample(self.settings, scan, self.patients, self.device)
            self.last.clear()
            self.last[scan] = Labelled(sample.voxels, sample.labels, marked_places(sample.labels))
        return self.last[scan]


def painted_scans(
    settings: SegmentSettings, spec: Spec, patients: Sequence[Patient], device: torch.device
) -> PaintedScans:
    """The endless cohort that ``settings`` describes."""
    source = settings.phantoms
    stream = StreamSettings(
        spec=spec,
        window=(max(settings.patch[0], settings.depth), *settings.patch[1:]),
        recipe=Recipe(
            random_share=source.random_share,
            stripped_share=source.stripped_share,
            difficult_share=source.difficult_share,
        ),
        sites=source.sites,
        windows_per_scan=source.windows_per_scan,
        seed=settings.seed,
    )
    return PaintedScans(stream, patients, device)
