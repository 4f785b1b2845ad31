"""Where to look closely: a first look finds what may be a structure; further looks see boxes of it.

A coarse network sees the prepared scan at half of its resolution. Where it finds two ears, the
ensemble sees a box about each and about what may be tumour; else the whole field, so that nothing
is lost. Flips after the first see the same by its own first look, or slices with findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

import numpy as np

from meatus import anatomy
from meatus.components import ROUNDING_MM, components
from meatus.covering import Region, covering, half_of_field, voxels_seen
from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.intensity import pooled
from meatus.laterality import Points
from meatus.spec import PhysicalCrop, Spec, VolumeNormalisation
from meatus.structures import Structure
from meatus.volumes import Prepared
from meatus.windows import cut, filled_extent, plan

# A structure of which the coarse look says so much may be there; a cochlea of at least the second
# is one.
POSSIBLE, FOUND = 0.05, 0.5
# The same of the ensemble's own first look. Where it says less, no structure wins by further ones:
# of two looks the other would have to be all but certain.
POSSIBLE_UNFLIPPED = 0.02

# From the middle of a cochlea, what an ear's region shows at least (mm): of the canal and the
# angle beside the brainstem, which lie medially and behind, and of the slices above and below.
LATERAL_MM, MEDIAL_MM = 16.0, 40.0
FRONT_MM, BEHIND_MM = 18.0, 30.0
ABOVE_AND_BELOW_MM = 11.0
BETWEEN_MM = 1.0  # off the middle between both, so that the two do not meet
AROUND_MM = np.array((8.0, 8.0, 4.0))  # x, y, z; about whatever may be a structure

# So much of tumour that lies by no ear is not left unseen; cleaning removes less.
FAR_MASS_MM3 = 100.0

# Regions that together are more of the field than this save little.
MOST_OF_FIELD = 0.6
WHOLE, BOTH_EARS = "the whole field", "both ears"

BoxMm: TypeAlias = tuple[Points, Points]  # lowest and highest (x, y, z) in mm, both held


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


def usual_window(spec: Spec, *, about_ears: bool = False) -> tuple[int, int, int]:
    """The shape (Z, Y, X) of most scans' windows: of the whole field, or about the ears."""
    columns, rows = spec.crop.size
    return spec.window.depth, *(half_of_field(spec) if about_ears else (rows, columns))


def whole_field(prepared: Prepared, spec: Spec) -> Regions:
    """Every slice, and every row and column but black margins around a narrow field.

    The published crop keeps its margins, as published.
    """
    rows, columns = (slice(0, count) for count in prepared.voxels.shape[1:])
    if isinstance(spec.crop, PhysicalCrop):
        rows, columns = filled_extent(prepared.voxels)
    return Regions((Region(slice(0, len(prepared.voxels)), rows, columns),), WHOLE)


def about_ears(prepared: Prepared, spec: Spec, scout: Scout) -> Regions:
    """Regions about the ears that ``scout`` finds; the whole field where it is not sure."""
    everything = whole_field(prepared, spec)
    coarse = _coarse_look(prepared, spec, scout)
    spots = coarse.possible(POSSIBLE)
    found = _by_ears(coarse, spots, prepared, spec, everything.boxes[0], far_too=False)
    return found if isinstance(found, Regions) else replace(everything, told=f"{WHOLE}: {found}")


def about_findings(
    p: Array, prepared: Prepared, spec: Spec, looked: Regions, *, narrower: bool
) -> Regions:
    """Regions of ``looked``, the whole field, by ``p`` (C, Z, Y, X), of a look at it.

    They are about the ears where these are sure, unless no window may be ``narrower`` than the
    field; else the slices that may show a structure, of which all is seen, or none.
    """
    (field,) = looked.boxes
    look = _Look(p, np.array(prepared.geometry.spacing_mm), np.zeros(3))
    spots = look.possible(POSSIBLE_UNFLIPPED)
    if narrower:
        found = _by_ears(look, spots, prepared, spec, field, far_too=True)
        if isinstance(found, Regions):
            return found
    boxes = [replace(field, slices=_in_voxels(spot.box_mm, prepared).slices) for spot in spots]
    regions = covering(boxes, field, spec)
    few = voxels_seen(regions, spec.window) < voxels_seen([field], spec.window)
    return replace(looked, boxes=regions) if few else looked


def _by_ears(
    look: _Look,
    spots: Sequence[_Spot],
    prepared: Prepared,
    spec: Spec,
    field: Region,
    *,
    far_too: bool,
) -> Regions | str:
    """Regions within ``field`` about both ears, and about ``spots``; or why not.

    Unless ``far_too``, what is far from either ear is left out, as cleaning would, and none is sure
    where much is.
    """
    cochleae = look.spots(look.p[Structure.COCHLEA], FOUND)
    middles = _pair([spot.middle for spot in cochleae])
    if middles is None:
        found = ("no ear was", "one ear was")[len(cochleae)] if len(cochleae) < 2 else "no pair was"
        return f"{found} found"
    if not far_too:
        near = [spot.gap_mm(middles) <= anatomy.FAR_FROM_EAR_MM for spot in spots]
        far = [spot for spot, is_near in zip(spots, near, strict=True) if not is_near]
        if any(spot.expected_mm3 >= FAR_MASS_MM3 for spot in far):
            return "there may be a tumour far from either ear"
        spots = [spot for spot, is_near in zip(spots, near, strict=True) if is_near]
    boxes_mm = [*_ears_mm(middles), *(spot.box_mm for spot in spots)]
    boxes = covering([_in_voxels(box, prepared) for box in boxes_mm], field, spec)
    if voxels_seen(boxes, spec.window) > MOST_OF_FIELD * voxels_seen([field], spec.window):
        return "the regions would be most of it"
    return Regions(boxes, BOTH_EARS)


@dataclass(frozen=True)
class _Spot:
    """What the coarse look takes for one structure; mm from the prepared grid's first voxel."""

    places_mm: Points  # (N, 3) along x, y, z
    expected_mm3: float

    @property
    def middle(self) -> Points:
        return np.asarray(self.places_mm.mean(axis=0))

    @property
    def box_mm(self) -> BoxMm:
        """The box about it, with what a network must see beside it."""
        return self.places_mm.min(axis=0) - AROUND_MM, self.places_mm.max(axis=0) + AROUND_MM

    def gap_mm(self, points: Sequence[Points]) -> float:
        """From its nearest place to the nearest of ``points``."""
        return min(float(np.linalg.norm(self.places_mm - at, axis=1).min()) for at in points)


@dataclass(frozen=True)
class _Look:
    """What a network says, on its grid."""

    p: Array  # (C, Z, Y, X)
    step_mm: Points  # (3,) along x, y, z
    first_mm: Points  # the middle of the first voxel

    def possible(self, least: float) -> list[_Spot]:
        """The spots of any structure."""
        return self.spots(self.p[1:].max(axis=0), least)

    def spots(self, p: Array, least: float) -> list[_Spot]:
        """Components of ``p`` (Z, Y, X) >= ``least`` that may be a structure, largest first."""
        mask = p >= least
        numbers, sizes = components(mask)
        owner, places = numbers[mask], np.argwhere(mask)
        expected = np.bincount(owner, p[mask], len(sizes)) * np.prod(self.step_mm)
        order = np.argsort(-expected, kind="stable")
        return [
            _Spot(places[owner == number, ::-1] * self.step_mm + self.first_mm, expected[number])
            for number in order[expected[order] >= anatomy.SMALLEST_COCHLEA_MM3]
        ]


def _coarse_look(prepared: Prepared, spec: Spec, scout: Scout) -> _Look:
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
    return _Look(p, steps * spacing, (steps - 1) / 2 * spacing)


def _pair(middles: Sequence[Points]) -> tuple[Points, Points] | None:
    """The first two of ``middles`` as far apart as cochleas, the one at lower x first."""
    low, high = anatomy.COCHLEAS_APART_USUAL_MM
    for one, other in sorted(combinations(range(len(middles)), 2), key=sum):
        right, left = sorted((middles[one], middles[other]), key=lambda middle: float(middle[0]))
        apart = np.linalg.norm(left - right)
        if low <= apart <= high and left[0] - right[0] >= anatomy.ONE_EAR_MM:
            return right, left
    return None


def _ears_mm(middles: tuple[Points, Points]) -> list[BoxMm]:
    """What each ear's region shows at least; ``middles`` of cochleas, the one at lower x first."""
    medial_mm = min(MEDIAL_MM, (middles[1][0] - middles[0][0]) / 2 - BETWEEN_MM)
    boxes = []
    for middle, inward in zip(middles, (1, -1), strict=True):
        right, left = sorted((-inward * LATERAL_MM, inward * medial_mm))
        low = middle + np.array([right, -FRONT_MM, -ABOVE_AND_BELOW_MM])
        boxes.append((low, middle + np.array([left, BEHIND_MM, ABOVE_AND_BELOW_MM])))
    return boxes


def _in_voxels(box_mm: BoxMm, prepared: Prepared) -> Region:
    """The region of ``box_mm``; it may reach beyond the grid."""
    low, high = (end / np.array(prepared.geometry.spacing_mm) for end in box_mm)
    extents = np.ceil(high - low - ROUNDING_MM).astype(int)
    starts = np.round((low + high + 1 - extents) / 2).astype(int)
    x, y, z = (slice(int(a), int(a + n)) for a, n in zip(starts, extents, strict=True))
    return Region(z, y, x)
