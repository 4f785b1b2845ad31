"""What is measured on one label map: volumes, both cochleae, the tumour's side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Geometry
from meatus.structures import TUMOUR, Structure

BOTH_VISIBLE_MM = 40.0  # from the right cochlea's to the left one's outer end, at least
ONE_SIDED = 0.9  # of a tumour's voxels


@dataclass(frozen=True)
class LabelMeasures:
    """One label map in numbers; volumes in mm3."""

    extra_mm3: float
    intra_mm3: float
    cochlea_mm3: float
    cochleae_mm3: tuple[float, ...]  # of each side that lies wholly in the scan
    apart_mm: float | None  # between the cochleae's centres, where both are whole
    side: str  # "L", "R", "LR" or "" where there is no tumour or no midline
    stray: int  # voxels of no known class

    @property
    def tumour_mm3(self) -> float:
        return self.extra_mm3 + self.intra_mm3


def measure_labels(labels: NDArray[np.uint8], geometry: Geometry) -> LabelMeasures:
    """Measure ``labels`` (Z, Y, X)."""
    counts = np.bincount(labels.ravel(), minlength=len(Structure))
    volumes = counts * geometry.voxel_mm3
    right, left = _cochleae(labels, geometry)
    whole = [at for at in (right, left) if len(at) and not _cut(at, labels.shape)]
    centres = [_position_mm(at, geometry).mean(axis=0) for at in (right, left) if len(at)]
    apart = float(np.linalg.norm(centres[0] - centres[1])) if len(whole) == 2 else None
    midline = float(np.mean([c[0] for c in centres])) if len(centres) == 2 else None
    return LabelMeasures(
        extra_mm3=float(volumes[Structure.EXTRA_MEATAL]),
        intra_mm3=float(volumes[Structure.INTRA_MEATAL]),
        cochlea_mm3=float(volumes[Structure.COCHLEA]),
        cochleae_mm3=tuple(len(at) * geometry.voxel_mm3 for at in whole),
        apart_mm=apart,
        side=_side(labels, geometry, midline),
        stray=int(counts[len(Structure) :].sum()),
    )


def _cochleae(
    labels: NDArray[np.uint8], geometry: Geometry
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Voxel indices (N, 3) of the right and the left cochlea; both empty where one is missing."""
    at = np.argwhere(labels == Structure.COCHLEA)
    if not len(at):
        return at, at
    x = _position_mm(at, geometry)[:, 0]
    if np.ptp(x) < BOTH_VISIBLE_MM:
        return at[:0], at[:0]
    middle = (x.min() + x.max()) / 2
    return at[x < middle], at[x >= middle]


def _cut(at: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    """Whether the scan's border touches what lies at ``at``."""
    return bool((at.min(axis=0) == 0).any() or (at.max(axis=0) == np.array(shape) - 1).any())


def _position_mm(at: NDArray[np.intp], geometry: Geometry) -> NDArray[np.float64]:
    """Patient positions (N, 3), LPS, of voxel indices (N, 3) in the array's order."""
    steps = geometry.axes * np.array(geometry.spacing_mm)
    return np.asarray(at[:, ::-1] @ steps.T + np.array(geometry.origin_mm))


def _side(labels: NDArray[np.uint8], geometry: Geometry, midline: float | None) -> str:
    at = np.argwhere(np.isin(labels, TUMOUR))
    if not len(at) or midline is None:
        return ""
    left = float((_position_mm(at, geometry)[:, 0] > midline).mean())
    return "L" if left > ONE_SIDED else "R" if left < 1 - ONE_SIDED else "LR"
