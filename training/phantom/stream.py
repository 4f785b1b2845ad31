"""Endless training data: phantoms that are painted while a network trains, on its own device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from inference.geometry import Geometry
from inference.spec import Spec
from inference.volumes import Scan
from training.dataset import Sample, draw_window, prepare_sample
from training.phantom.contours.read import Patient
from training.phantom.draws import SEEDS, stream
from training.phantom.generate import CPU, Case, Recipe, render_case
from training.phantom.sites import SITES, draw_setup
from training.phantom.subject import draw_subject

MARGIN = 8  # slices painted beyond a window, so that windows vary


@dataclass(frozen=True)
class StreamSettings:
    """What an endless cohort is drawn from."""

    spec: Spec
    window: tuple[int, int, int]  # (Z, Y, X) of the samples
    recipe: Recipe = field(default_factory=Recipe)
    sites: tuple[str, ...] = tuple(SITES)
    near_structures: float = 0.85  # share of windows centred near a labelled voxel
    windows_per_scan: int = 4  # painting a head costs far more than cutting a window
    seed: int = 0


class PhantomStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Windows ``(1, Z, Y, X)`` in [-1, 1] with labels ``(Z, Y, X)``, without end.

    Only the slices about the ears are painted. Scan number n is the same whoever draws it; the
    workers of a loader and the ``ranks`` of a training take turns.
    """

    def __init__(
        self,
        settings: StreamSettings,
        patients: Sequence[Patient] = (),
        device: torch.device = CPU,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.settings = settings
        self.patients = patients
        self.device = device
        self.rank, self.ranks = rank, ranks

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker else (0, 1)
        number = self.rank * turns + turn
        while True:
            yield from self._windows(number)
            number += self.ranks * turns

    def _windows(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        settings = self.settings
        sample = paint_sample(settings, number, self.patients, self.device)
        draw = stream(settings.seed, "windows", number)
        for _ in range(settings.windows_per_scan):
            voxels, labels = draw_window(sample, settings.window, settings.near_structures, draw)
            yield (
                torch.from_numpy(voxels)[None].to(self.device),
                torch.from_numpy(labels.astype(np.int64)).to(self.device),
            )


def paint_sample(
    settings: StreamSettings, number: int, patients: Sequence[Patient], device: torch.device
) -> Sample:
    """Scan ``number`` of the stream as the network sees it, with its labels."""
    draw = stream(settings.seed, "stream", number)
    subject_seed, scan_seed = (int(seed) for seed in draw.integers(SEEDS, size=2))
    site = settings.sites[int(draw.integers(len(settings.sites)))]
    setup = draw_setup(SITES[site], "hrT2", scan_seed)
    slab = about_the_ears(setup.geometry, settings.window[0] + MARGIN)
    subject = draw_subject(subject_seed, settings.recipe.mix, patients)
    case = render_case(subject, replace(setup, geometry=slab), scan_seed, settings.recipe, device)
    return prepare_sample(_as_scan(case, case.voxels), _as_scan(case, case.labels), settings.spec)


def about_the_ears(geometry: Geometry, slices: int) -> Geometry:
    """The ``slices`` of an axial grid nearest to the scanner's origin, where the ears are."""
    x, y, depth = geometry.size
    count = min(depth, slices)
    height = geometry.axes[2, 2]
    if abs(height) < 0.5:  # a coronal grid: its slices do not part the ears from the rest
        return geometry
    level = -geometry.origin_mm[2] / (height * geometry.spacing_mm[2])
    start = int(np.clip(round(level - count / 2), 0, depth - count))
    return geometry.crop((0, 0, start), (x, y, count))


def _as_scan(case: Case, voxels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Scan:
    return Scan(voxels.astype(np.float32), case.geometry)
