"""Where to look closely: a coarse look over the whole field finds the ears and what is by them.

The coarse network sees the prepared scan at half of its resolution. Where it finds two ears, the
ensemble sees a box about each, with whatever may be tumour; where it does not, it sees the whole
field, so that nothing is lost that the whole field shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import Mask, components
from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.intensity import pooled
from meatus.laterality import split_sides
from meatus.spec import PhysicalCrop, Spec, VolumeNormalisation
from meatus.structures import Structure
from meatus.volumes import Prepared
from meatus.windows import GRID_MULTIPLE, cut, filled_extent, plan

# A structure of which the coarse look says so much may be there; a cochlea of at least the second
# is one.
POSSIBLE, FOUND = 0.05, 0.5

# From the middle of a cochlea, what an ear's region shows at least (mm): of the canal and the
# angle beside the brainstem, which lie medially and behind, and of the slices above and below.
LATERAL_MM, MEDIAL_MM = 16.0, 40.0
FRONT_MM, BEHIND_MM = 18.0, 30.0
ABOVE_AND_BELOW_MM = 11.0
AROUND_MM = 8.0  # about whatever may be a structure

# Regions that together are more of the field than this save little.
MOST_OF_FIELD = 0.6
WHOLE, BOTH_EARS = "the whole field", "both ears"


@dataclass(frozen=True)
class Region:
    """A box of the prepared grid."""

    slices: slice
    rows: slice
    columns: slice

    @property
    def box(self) -> tuple[slice, slice, slice]:
        return self.slices, self.rows, self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = (side.stop - side.start for side in self.box)
        return z, y, x


@dataclass(frozen=True)
class Regions:
    """What the ensemble looks at, and why, in words for a report."""

    boxes: tuple[Region, ...]
    told: str


@dataclass(frozen=True)
class Scout:
    """The network of the coarse look."""

    engine: Engine
    spec: Spec


def whole_field(prepared: Prepared, spec: Spec, why: str = "") -> Regions:
    """Every slice, and every row and column but black margins around a narrow field.

    The published crop keeps its margins, as published.
    """
    rows, columns = (slice(0, count) for count in prepared.voxels.shape[1:])
    if isinstance(spec.crop, PhysicalCrop):
        rows, columns = filled_extent(prepared.voxels)
    told = f"{WHOLE}: {why}" if why else WHOLE
    return Regions((Region(slice(0, len(prepared.voxels)), rows, columns),), told)


def about_ears(prepared: Prepared, spec: Spec, scout: Scout) -> Regions:
    """A region about each ear that ``scout`` finds; the whole field where it is not sure.

    Both regions have one shape, for which a runtime prepares once.
    """
    everything = whole_field(prepared, spec)
    (field,) = everything.boxes
    coarse, steps = _coarse_look(prepared, spec, scout)
    spacing = np.array(prepared.geometry.spacing_mm)
    cochlea = _large_enough(coarse[Structure.COCHLEA] >= FOUND, float(np.prod(spacing * steps)))
    cochleas_mm = _places(cochlea, steps) * spacing
    left = split_sides(cochleas_mm[:, 0], anatomy.ONE_EAR_MM)
    if left is None:
        why = "one ear was found" if len(cochleas_mm) else "no ear was found"
        return whole_field(prepared, spec, why)
    middles = [cochleas_mm[side].mean(axis=0) for side in (~left, left)]
    apart, (near, far) = np.linalg.norm(middles[1] - middles[0]), anatomy.COCHLEAS_APART_USUAL_MM
    if not near <= apart <= far:
        return whole_field(prepared, spec, f"two ears were found {apart:.0f} mm apart")
    spots_mm = _places(coarse[1:].max(axis=0) >= POSSIBLE, steps) * spacing
    boxes = [box / spacing for box in _boxes_mm(middles, spots_mm)]
    regions = _alike(boxes, field, spec.window.depth)
    if sum(math.prod(one.shape) for one in regions) > MOST_OF_FIELD * math.prod(field.shape):
        return whole_field(prepared, spec, "two regions would be most of it")
    return Regions(regions, BOTH_EARS)


def _coarse_look(prepared: Prepared, spec: Spec, scout: Scout) -> tuple[Array, NDArray[np.int_]]:
    """Probabilities (C, Z, Y, X) on the coarse grid, and its steps (x, y, z) in fine voxels."""
    rule, fine = scout.spec.crop, spec.crop
    assert isinstance(rule, PhysicalCrop)
    assert isinstance(fine, PhysicalCrop)
    assert isinstance(spec.normalisation, VolumeNormalisation)
    wide = round(rule.spacing_mm / fine.spacing_mm)
    slice_mm = prepared.geometry.spacing_mm[2]
    thick = max(1, round(rule.slice_mm / slice_mm)) if slice_mm < rule.thin_slice_mm else 1
    small = pooled(prepared.voxels, (thick, wide, wide), spec.normalisation)
    rows, columns = filled_extent(small)
    seen, window = small[:, rows, columns], scout.spec.window
    spans = plan(len(seen), window)
    result = np.zeros((len(scout.spec.classes), *small.shape), dtype=np.float32)
    result[Structure.BACKGROUND] = 1
    for span in spans:  # where two overlap, what either may have seen counts
        look = scout.engine(cut(seen, span, window.depth))[:, span.held]
        held = result[:, span.start : span.stop, rows, columns]
        held[1:] = np.maximum(held[1:], look[1:])
    return result, np.array([wide, wide, thick])


def _large_enough(mask: Mask, voxel_mm3: float) -> Mask:
    """``mask`` without components that are smaller than any cochlea."""
    numbers, sizes = components(mask)
    return np.asarray(sizes * voxel_mm3 >= anatomy.SMALLEST_COCHLEA_MM3)[numbers] & mask


def _places(mask: Mask, steps: NDArray[np.int_]) -> NDArray[np.float64]:
    """Where the coarse voxels of ``mask`` (Z, Y, X) lie, (N, 3) fine voxels along x, y, z."""
    return np.argwhere(mask)[:, ::-1] * steps + (steps - 1) / 2


def _boxes_mm(
    middles: list[NDArray[np.float64]], spots: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Lowest and highest (x, y, z) in mm, (2, 3), of each ear's region.

    ``middles`` are those of the two cochleas, the one at lower x first; ``spots`` (N, 3) is all
    that may be a structure, each in the region of its half of the head.
    """
    divide, boxes = (middles[0][0] + middles[1][0]) / 2, []
    for middle, inward, own in zip(
        middles, (1, -1), (spots[:, 0] < divide, spots[:, 0] >= divide), strict=True
    ):
        ends = sorted((-inward * LATERAL_MM, inward * MEDIAL_MM))
        low = middle + np.array([ends[0], -FRONT_MM, -ABOVE_AND_BELOW_MM])
        high = middle + np.array([ends[1], BEHIND_MM, ABOVE_AND_BELOW_MM])
        if own.any():
            low = np.minimum(low, spots[own].min(axis=0) - AROUND_MM)
            high = np.maximum(high, spots[own].max(axis=0) + AROUND_MM)
        boxes.append(np.array([low, high]))
    return boxes


def _alike(boxes: list[NDArray[np.float64]], field: Region, depth: int) -> tuple[Region, ...]:
    """Regions of one shape within ``field`` about ``boxes``, (2, 3) voxels along x, y, z each."""
    extents = np.max([np.ceil(high - low) + 1 for low, high in boxes], axis=0).astype(int)
    multiples = (2 * GRID_MULTIPLE, 2 * GRID_MULTIPLE, 1)
    sides = []
    for axis, whole in enumerate(reversed(field.box)):
        width = -(-int(extents[axis]) // multiples[axis]) * multiples[axis]
        width = min(max(width, depth if axis == 2 else 0), whole.stop - whole.start)
        centres = [(low[axis] + high[axis] + 1) / 2 for low, high in boxes]
        starts = [min(max(round(c - width / 2), whole.start), whole.stop - width) for c in centres]
        sides.append([slice(start, start + width) for start in starts])
    return tuple(Region(z, y, x) for x, y, z in zip(*sides, strict=True))
