"""How sure an ensemble is of a label map, by the probabilities that it was made from."""

from __future__ import annotations

import math

import numpy as np
import scipy

from meatus.components import Mask, mask_of
from meatus.geometry import Array, Geometry, axial, nearest_index, reorient
from meatus.restore import found_apart, near
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Certainty, Labels, Probabilities

# Millions of voxels that are nearly certainly no tumour would add up to one.
LEAST_P = 0.05

# Along each axis, from what is marked: what lies farther off is another tumour, or what was
# taken for one and cleaned away, and says nothing of the outline of this one.
NEAR_MM = 10.0


def certainty_of(probabilities: Probabilities, labels: Labels) -> Certainty:
    """What ``probabilities`` say of the ``labels`` made from them."""
    return Certainty(confidence(probabilities), *expected_tumour(probabilities, labels))


def confidence(probabilities: Probabilities) -> float | None:
    """The mean probability of the winning structure where one wins; None where none does."""
    total, count = 0.0, 0
    for found in found_apart(probabilities):
        values = near(probabilities, found)[0]
        best = values[1:].max(axis=0)
        winning = best > values[Structure.BACKGROUND]
        total += float(best[winning].sum(dtype=np.float64))
        count += int(np.count_nonzero(winning))
    return total / count if count else None


def expected_tumour(probabilities: Probabilities, labels: Labels) -> tuple[float | None, float]:
    """The Dice of the tumour marked in ``labels`` if each probability is right, and what is left.

    With p the tumour's probability and F the voxels marked, on the network's grid, the overlap is
    expected to be the sum of p over F, and the true volume the sum of p within ``NEAR_MM`` of F:
    2 sum_F p / (|F| + sum_near p); None without a tumour. The second number is the sum of p
    farther off, in mm3. Both parts of the tumour count as one.
    """
    labels = labels.boxed
    marked = mask_of(labels.voxels, TUMOUR)
    extra, intra = TUMOUR
    p = probabilities.voxels[extra] + probabilities.voxels[intra]
    p[p < LEAST_P] = 0
    likely, voxel_mm3 = float(p.sum()), probabilities.geometry.voxel_mm3
    if not marked.any():
        return None, likely * voxel_mm3
    found = _onto(marked, labels.geometry, probabilities.geometry)
    if not found.any():
        return 0.0, likely * voxel_mm3
    around, overlap = _around(p, found, probabilities.geometry), float(p[found].sum())
    dice = 2 * overlap / (int(found.sum()) + around)
    return dice, max(likely - around, 0.0) * voxel_mm3


def _around(p: Array, found: Mask, grid: Geometry) -> float:
    """The sum of ``p`` within ``NEAR_MM`` of ``found``, both (Z, Y, X)."""
    reach = [math.ceil(NEAR_MM / mm) for mm in reversed(grid.spacing_mm)]
    (box,) = scipy.ndimage.find_objects(found.view(np.uint8))
    wider = tuple(
        slice(max(side.start - r, 0), side.stop + r) for side, r in zip(box, reach, strict=True)
    )
    reached = scipy.ndimage.maximum_filter(
        found[wider].view(np.uint8), [2 * r + 1 for r in reach], mode="constant"
    )
    return float(p[wider][reached > 0].sum())


def _onto(mask: Mask, source: Geometry, target: Geometry) -> Mask:
    """``mask`` (Z, Y, X) at the voxels of ``target``, whose axes are the axial ones of ``source``.

    The nearest voxel counts; outside ``source`` there is nothing.
    """
    upright = axial(source)
    result = np.zeros(target.shape, dtype=np.bool_)
    at = [nearest_index(upright, target, axis) for axis in (2, 1, 0)]
    sizes = reversed(upright.size)
    held = [np.flatnonzero((i >= 0) & (i < size)) for i, size in zip(at, sizes, strict=True)]
    chosen = [i[inside] for i, inside in zip(at, held, strict=True)]
    result[np.ix_(*held)] = reorient(mask, source, upright)[np.ix_(*chosen)]
    return result
