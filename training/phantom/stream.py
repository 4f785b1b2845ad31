"""Endless training data: phantoms painted while a network trains, on its own device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from inference.geometry import Geometry
from inference.spec import Spec
from inference.volumes import Scan
from training.dataset import Sample, prepare_sample
from training.phantom.contours.read import Patient
from training.phantom.draws import SEEDS, stream
from training.phantom.generate import Case, Recipe, render_case
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
    windows_per_scan: int = 4  # painting a head costs far more than cutting a window
    seed: int = 0


def paint_sample(
    settings: StreamSettings, number: int, patients: Sequence[Patient], device: torch.device
) -> Sample:
    """Scan ``number`` of the stream as the network sees it, with its labels."""
    draw = stream(settings.seed, "stream", number)
    subject_seed, scan_seed = (int(seed) for seed in draw.integers(SEEDS, size=2))
    site = settings.sites[int(draw.integers(len(settings.sites)))]
    setup = draw_setup(SITES[site], "hrT2", scan_seed)
    slab = about_the_ears(setup.geometry, settings.window[0] + MARGIN)
    subject = draw_subject(subject_seed, settings.recipe.mix_of(subject_seed), patients)
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
