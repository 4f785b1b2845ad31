"""Measures of one structure: two masks and a voxel size in, numbers out.

Empty masks, for every measure here: where one of the two is empty, Dice and surface Dice are 0 and
distances ``EMPTY_MM``, as crossMoDA scores an empty prediction. Where both are empty they agree:
Dice and surface Dice are 1 and distances 0. (MedPy gives Dice 1 there since 0.5, 0 before, and
refuses distances to empty masks.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meatus.measure import structure_masks
from meatus.pieces import components
from meatus.volumes import Labels
from meatus_evaluation.surface import (
    EMPTY_MM,
    TOLERANCE_MM,
    Distances,
    Spacing,
    boundary_points,
    bounding_box,
    distances,
    mean_mm,
    mean_of_means_mm,
    near_planes,
    percentile_95_mm,
    share_within,
    surface_distances,
)

__all__ = [
    "EMPTY_MM",
    "Outcome",
    "StructureScore",
    "assd_mm",
    "boundary_assd_mm",
    "compare",
    "dice",
    "hd95_mm",
    "structure_masks",
    "surface_dice",
    "volumes_mm3",
]

Mask = NDArray[np.bool_]

# found, missed: the reference has it, and the prediction shares a voxel with it or none.
# false positive, absent: the reference lacks it, and the prediction has it or lacks it too.
Outcome = Literal["found", "missed", "false positive", "absent"]


@dataclass(frozen=True)
class StructureScore:
    """A structure's prediction against its reference. A part is connected by 26 neighbours."""

    dice: float
    assd_mm: float  # MedPy 0.5.2's
    assd_means_mm: float  # MedPy's up to 0.4.0, with which the challenges scored
    hd95_mm: float
    surface_dice: float  # at TOLERANCE_MM
    volume_mm3: float
    reference_mm3: float
    volume_error_mm3: float  # prediction minus reference
    volume_error_percent: float | None  # of the reference; None where that is empty
    outcome: Outcome
    reference_parts: int
    missed_parts: int  # parts of the reference that share no voxel with the prediction
    false_positives: int  # parts of the prediction that share no voxel with the reference
    false_positives_mm3: float


def compare(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> StructureScore:
    """All measures of one structure; masks (Z, Y, X), spacing (x, y, z)."""
    box = bounding_box(prediction | reference)
    found, truth = prediction[box], reference[box]
    apart = surface_distances(found, truth, spacing_mm)
    neither = _neither(found, truth)
    voxel_mm3 = float(np.prod(spacing_mm))
    given, wanted = (int(np.count_nonzero(mask)) * voxel_mm3 for mask in (found, truth))
    parts, missed, _ = _alone(truth, found)
    _, false, false_voxels = _alone(found, truth)
    return StructureScore(
        dice=dice(found, truth),
        assd_mm=_or_empty(apart, mean_mm, neither),
        assd_means_mm=_or_empty(apart, mean_of_means_mm, neither),
        hd95_mm=_or_empty(apart, percentile_95_mm, neither),
        surface_dice=_surface_dice(apart, neither, TOLERANCE_MM),
        volume_mm3=given,
        reference_mm3=wanted,
        volume_error_mm3=given - wanted,
        volume_error_percent=100 * (given - wanted) / wanted if wanted else None,
        outcome=_outcome(found, truth),
        reference_parts=parts,
        missed_parts=missed,
        false_positives=false,
        false_positives_mm3=false_voxels * voxel_mm3,
    )


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the shared voxels over the sum of both masks' voxels (Dice 1945), in [0, 1]."""
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(prediction & reference)) / total


def assd_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """Average symmetric surface distance, as MedPy 0.5.2's ``assd``."""
    apart = surface_distances(prediction, reference, spacing_mm)
    return _or_empty(apart, mean_mm, _neither(prediction, reference))


def hd95_mm(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    """The 95th percentile of the surface distances, as MedPy's ``hd95``."""
    apart = surface_distances(prediction, reference, spacing_mm)
    return _or_empty(apart, percentile_95_mm, _neither(prediction, reference))


def surface_dice(
    prediction: Mask,
    reference: Mask,
    spacing_mm: Spacing,
    tolerance_mm: float = TOLERANCE_MM,
) -> float:
    """The share of both surfaces no further apart than the tolerance, in [0, 1]."""
    apart = surface_distances(prediction, reference, spacing_mm)
    return _surface_dice(apart, _neither(prediction, reference), tolerance_mm)


def boundary_assd_mm(
    prediction: tuple[Mask, Mask], reference: tuple[Mask, Mask], spacing_mm: Spacing
) -> float:
    """ASSD between the predicted and the true boundary of two touching parts.

    Each tuple holds the extra- and the intra-meatal mask. The boundary is the set of voxel faces
    between them, each taken at its middle; distances of both directions are averaged together, as
    in ``assd_mm``. A boundary without faces is an empty mask: ``EMPTY_MM``, or 0 for two of them.
    """
    given, wanted = (boundary_points(*parts, spacing_mm) for parts in (prediction, reference))
    neither = not len(given) and not len(wanted)
    return _or_empty(distances(given, wanted), mean_mm, neither)


def volumes_mm3(labels: Labels) -> dict[str, float]:
    """The volume of each scored structure; the cochlea's is of both sides together."""
    return {
        name: int(np.count_nonzero(mask)) * labels.geometry.voxel_mm3
        for name, mask in structure_masks(labels.voxels).items()
    }


def _neither(prediction: Mask, reference: Mask) -> bool:
    return not prediction.any() and not reference.any()


def _or_empty(
    apart: Distances | None, measure: Callable[[Distances], float], neither: bool
) -> float:
    """The measure, or what stands for it where a mask, or both, are empty."""
    if apart is None:
        return 0.0 if neither else EMPTY_MM
    return measure(apart)


def _surface_dice(apart: Distances | None, neither: bool, tolerance_mm: float) -> float:
    if apart is None:
        return 1.0 if neither else 0.0
    return share_within(apart, tolerance_mm)


def _outcome(prediction: Mask, reference: Mask) -> Outcome:
    if reference.any():
        return "found" if (prediction & reference).any() else "missed"
    return "false positive" if prediction.any() else "absent"


def _alone(mask: Mask, other: Mask) -> tuple[int, int, int]:
    """Parts of ``mask``, those that share no voxel with ``other``, and the latter's voxels."""
    near = np.ix_(*near_planes(mask))
    numbers, sizes = components(mask[near])
    shared = np.unique(numbers[other[near]])
    alone = np.setdiff1d(np.arange(1, sizes.size), shared)
    return sizes.size - 1, int(alone.size), int(sizes[alone].sum())
