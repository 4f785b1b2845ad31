"""One structure's prediction against its reference: two masks and a voxel size in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from meatus.components import components
from meatus_evaluation.scoring.measures import ASSD, DICE, MEASURES, MaskPair
from meatus_evaluation.scoring.surface import (
    EMPTY_MM,
    Mask,
    Spacing,
    boundary_points,
    bounding_box,
    distances,
    mean_mm,
    near_planes,
)

# found, missed: the reference has it, and the prediction shares a voxel with it or none.
# false positive, absent: the reference lacks it, and the prediction has it or lacks it too.
Outcome = Literal["found", "missed", "false positive", "absent"]


@dataclass(frozen=True)
class StructureScore:
    """All measures of one structure. A part is connected by 26 neighbours."""

    measures: Mapping[str, float | None]  # by name, in the order of ``MEASURES``
    outcome: Outcome
    reference_parts: int
    missed_parts: int  # parts of the reference that share no voxel with the prediction
    false_positives: int  # parts of the prediction that share no voxel with the reference
    false_positives_mm3: float

    def __getitem__(self, measure: str) -> float | None:
        return self.measures[measure]

    @property
    def dice(self) -> float:
        return self._defined(DICE)

    @property
    def assd_mm(self) -> float:
        return self._defined(ASSD)

    def as_row(self) -> dict[str, Any]:
        """Every number by its column of a table."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return dict(self.measures) | counts

    def _defined(self, measure: str) -> float:
        value = self.measures[measure]
        assert value is not None, f"{measure} has a value for every pair of masks"
        return value


COUNTS = tuple(field.name for field in fields(StructureScore) if field.name != "measures")


def compare(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> StructureScore:
    """All measures of one structure; masks (Z, Y, X), spacing (x, y, z)."""
    box = bounding_box(prediction | reference)
    pair = MaskPair(prediction[box], reference[box], spacing_mm)
    parts, missed, _ = _alone(pair.truth, pair.found)
    _, false, false_voxels = _alone(pair.found, pair.truth)
    return StructureScore(
        measures={name: measure.of(pair) for name, measure in MEASURES.items()},
        outcome=_outcome(pair.found, pair.truth),
        reference_parts=parts,
        missed_parts=missed,
        false_positives=false,
        false_positives_mm3=false_voxels * pair.voxel_mm3,
    )


def as_failed(score: StructureScore) -> StructureScore:
    """A case that gave no result does not agree with a reference that lacks the structure."""
    if score.outcome != "absent":
        return score
    worst = {name: one.failed for name, one in MEASURES.items() if one.failed is not None}
    return replace(score, measures={**score.measures, **worst})


def boundary_assd_mm(
    prediction: tuple[Mask, Mask], reference: tuple[Mask, Mask], spacing_mm: Spacing
) -> float:
    """ASSD between the predicted and the true boundary of two touching parts.

    Each tuple holds the extra- and the intra-meatal mask. The boundary is the set of voxel faces
    between them, each taken at its middle; distances of both directions are averaged together, as
    in ``assd_mm``. A boundary without faces is an empty mask: ``EMPTY_MM``, or 0 for two of them.
    """
    given, wanted = (boundary_points(*parts, spacing_mm) for parts in (prediction, reference))
    apart = distances(given, wanted)
    if apart is None:
        return EMPTY_MM if len(given) or len(wanted) else 0.0
    return mean_mm(apart)


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
