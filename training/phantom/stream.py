"""Endless training data: phantoms painted while networks train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from inference.geometry import Geometry
from inference.spec import Spec
from inference.volumes import Scan
from training.dataset import Sample, prepare_sample
from training.phantom.acquisition.setup import Setup
from training.phantom.contours.read import Patient
from training.phantom.draws import SEEDS, stream
from training.phantom.generate import Case, Recipe, render_case
from training.phantom.sites import SITES, draw_setup
from training.phantom.subject import draw_subject

THICK_MM = 2.0
UNUSUAL_SITE = "ukm"  # the others' grids are all alike


@dataclass(frozen=True)
class StreamSettings:
    """What an endless cohort is drawn from."""

    spec: Spec
    recipe: Recipe = field(default_factory=Recipe)
    sites: tuple[str, ...] = tuple(SITES)
    unusual_share: float = 0.0  # of scans drawn to be coronal or of thick slices
    seed: int = 0


def paint_sample(
    settings: StreamSettings, number: int, patients: Sequence[Patient], device: torch.device
) -> Sample:
    """Scan ``number`` of the stream as the network sees it, with its labels."""
    draw = stream(settings.seed, "stream", number)
    subject_seed = int(draw.integers(SEEDS))
    setup, scan_seed = _draw_scan(settings, draw)
    subject = draw_subject(subject_seed, settings.recipe.mix_of(subject_seed), patients)
    case = render_case(subject, setup, scan_seed, settings.recipe, device)
    return prepare_sample(_as_scan(case, case.voxels), _as_scan(case, case.labels), settings.spec)


def is_unusual(geometry: Geometry) -> bool:
    """Whether the grid is one on which networks fail: coronal, or of thick slices."""
    coronal = abs(geometry.axes[2, 2]) < 0.5
    return coronal or geometry.spacing_mm[2] >= THICK_MM


def _draw_scan(settings: StreamSettings, draw: np.random.Generator) -> tuple[Setup, int]:
    """A scan's setup and seed; drawn until it is unusual, where that is due."""
    unusual = draw.random() < settings.unusual_share
    site = settings.sites[int(draw.integers(len(settings.sites)))]
    while True:
        seed = int(draw.integers(SEEDS))
        setup = draw_setup(SITES[UNUSUAL_SITE if unusual else site], "hrT2", seed)
        if not unusual or is_unusual(setup.geometry):
            return setup, seed


def _as_scan(case: Case, voxels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Scan:
    return Scan(voxels.astype(np.float32), case.geometry)
