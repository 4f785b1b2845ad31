"""Where to look closely: a coarse look over the whole field finds the ears and what is by them.

The coarse network sees the prepared scan at half of its resolution. Where it finds two ears, the
ensemble sees a box about each, with whatever may be tumour; where it does not, it sees the whole
field, so that nothing is lost that the whole field shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from meatus import anatomy
from meatus.components import Mask, components
from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.intensity import pooled
from meatus.laterality import Points
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
AROUND_MM = (8.0, 8.0, 4.0)  # x, y, z; about whatever may be a structure

# So much of tumour that lies by no ear is not left unseen; cleaning removes less.
FAR_MASS_MM3 = 100.0

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


def whole_field(prepared: Prepared, spec: Spec) -> Regions:
    """Every slice, and every row and column but black margins around a narrow field.

    The published crop keeps its margins, as published.
    """
    rows, columns = (slice(0, count) for count in prepared.voxels.shape[1:])
    if isinstance(spec.crop, PhysicalCrop):
        rows, columns = filled_extent(prepared.voxels)
    return Regions((Region(slice(0, len(prepared.voxels)), rows, columns),), WHOLE)


def about_ears(prepared: Prepared, spec: Spec, scout: Scout) -> Regions:
    """A region about each ear that ``scout`` finds; the whole field where it is not sure.

    Both regions have one shape, for which a runtime prepares once.
    """
    everything = whole_field(prepared, spec)
    (field,) = everything.boxes
    coarse = _coarse_look(prepared, spec, scout)
    cochleae = coarse.spots(coarse.p[Structure.COCHLEA], FOUND)
    middles = _pair([spot.middle for spot in cochleae])
    if middles is None:
        found = ("no ear was", "one ear was")[len(cochleae)] if len(cochleae) < 2 else "no pair was"
        return replace(everything, told=f"{WHOLE}: {found} found")
    near: list[_Spot] = []
    far: list[_Spot] = []
    for spot in coarse.spots(coarse.p[1:].max(axis=0), POSSIBLE):
        (near if spot.gap_mm(middles) <= anatomy.FAR_FROM_EAR_MM else far).append(spot)
    if any(spot.expected_mm3 >= FAR_MASS_MM3 for spot in far):
        return replace(everything, told=f"{WHOLE}: there may be a tumour far from either ear")
    boxes = _boxes_mm(middles, np.concatenate([spot.places_mm for spot in near]))
    spacing = np.array(prepared.geometry.spacing_mm)
    regions = _alike([box / spacing for box in boxes], field, spec.window.depth)
    if sum(math.prod(one.shape) for one in regions) > MOST_OF_FIELD * math.prod(field.shape):
        return replace(everything, told=f"{WHOLE}: two regions would be most of it")
    return Regions(regions, BOTH_EARS)


@dataclass(frozen=True)
class _Spot:
    """What the coarse look takes for one structure; mm from the prepared grid's first voxel."""

    places_mm: Points  # (N, 3) along x, y, z
    expected_mm3: float

    @property
    def middle(self) -> Points:
        return np.asarray(self.places_mm.mean(axis=0))

    def gap_mm(self, points: Sequence[Points]) -> float:
        """From its nearest place to the nearest of ``points``."""
        return min(float(np.linalg.norm(self.places_mm - at, axis=1).min()) for at in points)


@dataclass(frozen=True)
class _Coarse:
    """What the scout says, on its grid."""

    p: Array  # (C, Z, Y, X)
    step_mm: Points  # (3,) along x, y, z
    first_mm: Points  # the middle of the first voxel

    def spots(self, p: Array, least: float) -> list[_Spot]:
        """Components of ``p`` (Z, Y, X) >= ``least`` that may be a structure, largest first."""
        numbers, sizes = components(p >= least)
        expected = np.bincount(numbers.ravel(), p.ravel(), len(sizes)) * np.prod(self.step_mm)
        expected[0] = 0
        order = np.argsort(-expected, kind="stable")
        return [
            _Spot(self._places_mm(numbers == number), float(expected[number]))
            for number in order[expected[order] >= anatomy.SMALLEST_COCHLEA_MM3]
        ]

    def _places_mm(self, mask: Mask) -> Points:
        return np.asarray(np.argwhere(mask)[:, ::-1] * self.step_mm + self.first_mm)


def _coarse_look(prepared: Prepared, spec: Spec, scout: Scout) -> _Coarse:
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
    p = np.zeros((len(scout.spec.classes), *small.shape), dtype=np.float32)
    p[Structure.BACKGROUND] = 1
    for span in plan(len(seen), window):  # where two overlap, what either may have seen counts
        look = scout.engine(cut(seen, span, window.depth))[:, span.held]
        held = p[:, span.start : span.stop, rows, columns]
        held[1:] = np.maximum(held[1:], look[1:])
    steps, spacing = np.array([wide, wide, thick]), np.array(prepared.geometry.spacing_mm)
    return _Coarse(p, steps * spacing, (steps - 1) / 2 * spacing)


def _pair(middles: Sequence[Points]) -> tuple[Points, Points] | None:
    """The first two of ``middles`` as far apart as cochleas, the one at lower x first."""
    low, high = anatomy.COCHLEAS_APART_USUAL_MM
    for one, other in sorted(combinations(range(len(middles)), 2), key=sum):
        right, left = sorted((middles[one], middles[other]), key=lambda middle: float(middle[0]))
        apart = np.linalg.norm(left - right)
        if low <= apart <= high and left[0] - right[0] >= anatomy.ONE_EAR_MM:
            return right, left
    return None


def _boxes_mm(middles: tuple[Points, Points], spots: Points) -> list[Points]:
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
            low = np.minimum(low, spots[own].min(axis=0) - np.array(AROUND_MM))
            high = np.maximum(high, spots[own].max(axis=0) + np.array(AROUND_MM))
        boxes.append(np.array([low, high]))
    return boxes


def _alike(boxes: list[Points], field: Region, depth: int) -> tuple[Region, ...]:
    """Regions of one shape within ``field`` about ``boxes``, (2, 3) voxels along x, y, z each."""
    extents = np.ceil(np.max([high - low for low, high in boxes], axis=0) - 1e-6).astype(int)
    multiples = (2 * GRID_MULTIPLE, 2 * GRID_MULTIPLE, 1)
    sides = []
    for axis, whole in enumerate(reversed(field.box)):
        width = -(-int(extents[axis]) // multiples[axis]) * multiples[axis]
        width = min(max(width, depth if axis == 2 else 0), whole.stop - whole.start)
        centres = [(low[axis] + high[axis] + 1) / 2 for low, high in boxes]
        starts = [min(max(round(c - width / 2), whole.start), whole.stop - width) for c in centres]
        sides.append([slice(start, start + width) for start in starts])
    return tuple(Region(z, y, x) for x, y, z in zip(*sides, strict=True))
