"""From class numbers to anatomy: ``clean`` removes what no ear can hold.

Sizes and distances are in millimetres, so that the rules mean the same on every grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import (
    ROUNDING_MM,
    LabelMap,
    Mask,
    components,
    fill_holes,
    fill_tumours,
    join_islands,
    join_specks,
    mask_of,
)
from meatus.geometry import Geometry
from meatus.head import ANYWHERE, Reach
from meatus.laterality import Ear, likely_cochleas, nearest_ears, on_left, split_sides
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Labels

Tumours = Literal["one", "ears", "all"]
Box = tuple[slice, slice, slice]
Planes = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Rules:
    """What may remain in a label map.

    The volumes are about crossMoDA 2023's training labels, where the smallest tumour part
    inside the canal has 20 mm3 and the two cochleas together have at least 70 mm3. A wrongly
    emptied structure scores a surface distance of 350 mm, so the limits stay well below both.
    """

    # The largest; one by each ear (both-sided disease, NF2), the second only where it is sure
    # to be one; or all.
    tumours: Tumours = "ears"
    # Of a second one, which must also reach into the meatus: what is taken for a second tumour
    # by mistake is smaller or lies beside it.
    second_tumour_mm3: float = 100.0
    smallest_tumour_mm3: float = anatomy.SMALLEST_TUMOUR_MM3
    # With so much of it in the meatus, as every part there that is labelled, a tumour counts for
    # so many times its volume where the largest is looked for: of 227 labelled tumours one has no
    # part there. What is taken for a large tumour by mistake lies in the brain, or was one before
    # surgery; what is taken for one in the meatus is small. From 5 on nothing is lost on
    # validation phantoms (docs/weights.md), and twice that is taken.
    rooted_mm3: float = anatomy.INTRA_MEATAL_MM3[0]
    rooted_counts: float = 10.0
    # Of the part outside the meatus, beside one inside: less is a rim of partial volume at the
    # porus of a tumour that lies in the canal alone (docs/weights.md).
    smallest_extra_mm3: float = 4.0
    smallest_cochlea_mm3: float = anatomy.SMALLEST_COCHLEA_MM3
    joining_mm: float = anatomy.COCHLEAR_DUCT_MM
    between_ears_mm: float = anatomy.ONE_EAR_MM
    # From a tumour to the nearest cochlea, where two are found as far apart as ears are.
    from_ear_mm: float = anatomy.TUMOUR_TO_COCHLEA_MM
    ears_apart_mm: tuple[float, float] = anatomy.COCHLEAS_APART_USUAL_MM
    share_near_ears: float = 0.5  # of a tumour's volume: the least that lies where one can be
    keep_doubtful: bool = False  # tumours where no ear can be, too


@dataclass(frozen=True)
class Cleaned:
    """A clean label map, and what is not in it and may yet be of a tumour, in mm3."""

    labels: Labels
    misplaced_mm3: float = 0.0  # what would be tumour if one could lie where no ear is
    passed_over_mm3: float = 0.0  # a piece that went for a smaller one with more in the meatus


@dataclass(frozen=True)
class _Doubts:
    """Whether a tumour that is not too small lay where no ear is, and ``Cleaned``'s last."""

    misplaced: bool = False
    passed_over_mm3: float = 0.0

    def __or__(self, other: _Doubts) -> _Doubts:
        larger = max(self.passed_over_mm3, other.passed_over_mm3)
        return _Doubts(self.misplaced or other.misplaced, larger)


def clean(labels: Labels, rules: Rules = Rules(), reach: Reach = ANYWHERE) -> Labels:
    """Keep the tumours asked for, by an ear, without islands or holes, and one cochlea per side.

    ``reach`` is where a tumour can lie in this head. The result lies on the same grid; cleaning it
    again changes nothing.
    """
    return _clean(labels, rules, reach)[0]


def clean_and_tell(labels: Labels, rules: Rules = Rules(), reach: Reach = ANYWHERE) -> Cleaned:
    """What ``clean`` gives, and what of it is in doubt.

    With ``keep_doubtful`` what would be tumour where no ear is is in it, else not.
    """
    cleaned, doubts = _clean(labels, rules, reach)
    if not doubts.misplaced:
        return Cleaned(cleaned, 0.0, doubts.passed_over_mm3)
    other, _ = _clean(labels, replace(rules, keep_doubtful=not rules.keep_doubtful), reach)
    pair = (cleaned, other) if rules.keep_doubtful else (other, cleaned)
    anywhere, by_an_ear = (mask_of(one.voxels, TUMOUR) for one in pair)
    misplaced_mm3 = float(np.count_nonzero(anywhere & ~by_an_ear)) * labels.geometry.voxel_mm3
    return Cleaned(cleaned, misplaced_mm3, doubts.passed_over_mm3)


def _clean(labels: Labels, rules: Rules, reach: Reach) -> tuple[Labels, _Doubts]:
    doubts = _Doubts()
    if not labels.voxels.any():
        return labels, doubts
    geometry = labels.geometry
    reach_planes = _reach(geometry, rules)
    planes = _planes(labels.voxels, reach_planes)
    cropped = labels.voxels[np.ix_(*planes)]
    # A component that goes may leave a hole behind, which changes what is largest: seldom, but
    # until nothing changes the result would not be clean.
    while True:
        cleaned, more = _clean_once(cropped, planes, geometry, rules, reach)
        doubts |= more
        if not cleaned.any() or np.array_equal(cleaned, cropped):
            break
        left = _planes(cleaned, reach_planes)  # often few, after the first time
        planes = (planes[0][left[0]], planes[1][left[1]], planes[2][left[2]])
        cropped = cleaned[np.ix_(*left)]
    voxels = np.zeros(geometry.shape, dtype=np.uint8)
    voxels[np.ix_(*planes)] = cleaned
    return replace(labels, voxels=voxels), doubts


def _clean_once(
    labels: LabelMap, planes: Planes, geometry: Geometry, rules: Rules, reach: Reach
) -> tuple[LabelMap, _Doubts]:
    labels = fill_holes(labels, Structure.COCHLEA, geometry)
    labels = _keep_cochleas(labels, planes, geometry, rules)
    labels, doubts = _keep_tumours(labels, planes, geometry, rules, reach)
    labels = join_islands(fill_tumours(labels, geometry))
    return join_specks(labels, rules.smallest_extra_mm3 / geometry.voxel_mm3), doubts


def _planes(voxels: LabelMap, reach: tuple[int, int, int]) -> Planes:
    """Indices along z, y and x, without the planes further than ``reach`` from any label.

    Labels are small and may lie far apart. What stays still tells which parts touch, join or
    enclose a hole, in a fraction of the time that a box around all of them takes.
    """
    in_z = voxels.any(axis=(1, 2))
    shadow: Mask = np.any(voxels[in_z], axis=0)  # (Y, X)
    z, y, x = (
        np.flatnonzero(scipy.ndimage.binary_dilation(used, iterations=steps))
        for used, steps in zip((in_z, shadow.any(axis=1), shadow.any(axis=0)), reach, strict=True)
    )
    return z, y, x


def _reach(geometry: Geometry, rules: Rules) -> tuple[int, int, int]:
    """How many voxels further along (z, y, x) a component may begin and still join."""
    x, y, z = (int(rules.joining_mm / mm + ROUNDING_MM) + 1 for mm in geometry.spacing_mm)
    return z, y, x


def _keep_tumours(
    labels: LabelMap, planes: Planes, geometry: Geometry, rules: Rules, reach: Reach
) -> tuple[LabelMap, _Doubts]:
    """Drop tumours that are too small or where no ear is, and all but those asked for."""
    numbers, sizes = components(mask_of(labels, TUMOUR))
    volumes_mm3 = sizes * geometry.voxel_mm3
    ears_mm = _points_mm(labels == Structure.COCHLEA, planes, geometry)

    def places(mask: Mask) -> _Places:
        tumours_mm = _points_mm(mask, planes, geometry)
        return _Places(tumours_mm, numbers[mask], sizes.size, ears_mm, geometry)

    ears = _ears_of(places(_surface(numbers > 0)), rules)  # none of it is nearer to what is outside
    keep = volumes_mm3 >= rules.smallest_tumour_mm3
    by_an_ear = (
        _possible(places(numbers > 0), rules, reach) if ears is None else ears != Ear.NEITHER
    )
    misplaced = bool((keep & ~by_an_ear).any())
    if not rules.keep_doubtful:
        keep &= by_an_ear
    if rules.tumours == "all":
        return _without(labels, numbers, keep), _Doubts(misplaced)
    inside = np.bincount(numbers[labels == Structure.INTRA_MEATAL], minlength=sizes.size)
    rooted = keep & (inside * geometry.voxel_mm3 >= rules.rooted_mm3)
    counts = sizes * np.where(rooted, rules.rooted_counts, 1)
    largest = np.argmax(np.where(keep, counts, -1))  # the first of equals
    chosen = keep & (np.arange(sizes.size) == largest)
    if rules.tumours == "ears" and ears is not None:
        other = keep & (inside > 0) & (ears != ears[largest])
        other &= volumes_mm3 >= rules.second_tumour_mm3
        chosen |= other & (np.arange(sizes.size) == np.argmax(np.where(other, sizes, -1)))
    over_mm3 = float(np.max(volumes_mm3, where=keep & ~chosen, initial=0.0))
    doubts = _Doubts(misplaced, over_mm3 if over_mm3 > volumes_mm3[largest] else 0.0)
    return _without(labels, numbers, chosen), doubts


@dataclass(frozen=True)
class _Places:
    """Where the voxels of ``count`` tumours and of cochleae lie, (N, 3) in mm along the grid."""

    tumours_mm: NDArray[np.float64]
    numbers: NDArray[np.int32]  # (N,) of which tumour each voxel is
    count: int
    ears_mm: NDArray[np.float64]
    geometry: Geometry


def _ears_of(places: _Places, rules: Rules) -> NDArray[np.int8] | None:
    """By which ear each tumour lies; None where no two cochleas lie as ears do.

    The tumour of an ear whose cochlea was missed is far from the other one.
    """
    ears_mm = places.ears_mm
    lateral_mm = ears_mm @ places.geometry.axes[0]
    left = on_left(lateral_mm, ears_mm, rules.between_ears_mm, rules.ears_apart_mm)
    if left is None:
        return None
    return nearest_ears(
        places.tumours_mm, places.numbers, places.count, ears_mm, left, rules.from_ear_mm
    )


def _possible(places: _Places, rules: Rules, reach: Reach) -> Mask:
    """Which tumours lie where an ear may be though not both are found as ears lie.

    That is mostly within the head's ``reach`` and, where a cochlea of usual size is found, by it or
    where the other ear would be. A tumour that touches such a place may lie there: a large one
    grows far from its ear. A lone cochlea that is smaller than any may be a mistake itself and says
    nothing of a tumour. Where a scan shows the head from side to side, from front to back and up to
    the vertex, and no ear is found, as where the skull was stripped, no tumour is by one; a slab
    that reaches the vertex may have the ears outside.
    """
    geometry = places.geometry
    tumours, ears = (
        np.array(geometry.origin_mm) + points_mm @ geometry.axes.T
        for points_mm in (places.tumours_mm, places.ears_mm)
    )
    within = reach.holds(tumours)
    inside, all_of_it = (
        np.bincount(numbers, minlength=places.count)
        for numbers in (places.numbers[within], places.numbers)
    )
    left = split_sides(ears[:, 0], rules.between_ears_mm)
    least = anatomy.BOTH_COCHLEAE_MM3[0] / 2 / geometry.voxel_mm3
    sides = [ears] if left is None else [ears[~left], ears[left]]
    groups = [group for group in sides if len(group) >= least]
    if groups:
        believed = np.concatenate(groups)
        beyond = np.nextafter(rules.from_ear_mm, np.inf)  # what is told of as infinitely far
        gap_mm, _ = scipy.spatial.KDTree(believed).query(tumours, distance_upper_bound=beyond)
        by_any = gap_mm <= rules.from_ear_mm
        for group in groups:
            by_any |= _by_the_other_ear(tumours - group.mean(axis=0), rules)
        within &= by_any
    elif np.isfinite([*reach.x, *reach.y, reach.z[1]]).all():
        within[:] = False  # a whole head is shown, and no ear
    possible = np.zeros(places.count, dtype=np.bool_)
    possible[places.numbers[within]] = True
    return possible & (inside >= rules.share_near_ears * all_of_it)


def _by_the_other_ear(from_ear: NDArray[np.float64], rules: Rules) -> Mask:
    """(N,): whether a place that lies so from one cochlea (mm, LPS+) may be by the other one."""
    near, far = rules.ears_apart_mm
    across, *along = np.abs(from_ear).T
    aside = (across >= near - rules.from_ear_mm) & (across <= far + rules.from_ear_mm)
    level = np.maximum(*along) <= rules.from_ear_mm + anatomy.EARS_UNLIKE_MM
    return np.asarray(aside & level)


def _points_mm(mask: Mask, planes: Planes, geometry: Geometry) -> NDArray[np.float64]:
    """(N, 3) in mm along the grid's x, y and z: where the voxels of ``mask`` lie in the scan."""
    index = [whole[at] for whole, at in zip(planes, np.nonzero(mask), strict=True)]
    return np.asarray(np.stack(index[::-1], axis=1) * np.array(geometry.spacing_mm))


def _surface(mask: Mask) -> Mask:
    """What of ``mask`` (Z, Y, X) has a face that is no other's of it."""
    surface = np.zeros_like(mask)
    for box in scipy.ndimage.find_objects(mask.view(np.uint8)):
        surface[box] = mask[box] & ~scipy.ndimage.binary_erosion(mask[box])
    return surface


def _keep_cochleas(labels: LabelMap, planes: Planes, geometry: Geometry, rules: Rules) -> LabelMap:
    """Drop all cochlea but one per side; components near a kept one belong to it."""
    numbers, sizes = components(mask_of(labels, (Structure.COCHLEA,)))
    large = np.flatnonzero((sizes > 0) & (sizes * geometry.voxel_mm3 >= rules.smallest_cochlea_mm3))
    large = large[np.argsort(-sizes[large], kind="stable")]
    boxes = scipy.ndimage.find_objects(numbers)
    middles = np.array([_middle_mm(boxes[number - 1], planes, geometry) for number in large])
    keep = np.zeros(sizes.size, dtype=bool)
    pair = likely_cochleas(sizes[large], middles, rules.between_ears_mm, rules.ears_apart_mm)
    for number in large[pair]:
        keep[number] = True
        keep[_components_near(numbers, number, boxes[number - 1], geometry, rules)] = True
    return _without(labels, numbers, keep)


def _without(labels: LabelMap, numbers: NDArray[np.int32], keep: Mask) -> LabelMap:
    """``labels`` with the components that are not to ``keep``, by number, made background."""
    kept = labels.copy()
    mask = numbers > 0
    kept[mask] *= keep[numbers[mask]]
    return kept


def _middle_mm(box: Box, planes: Planes, geometry: Geometry) -> tuple[float, float, float]:
    """Where the middle of ``box`` lies in the patient (LPS+); filling a hole does not move it."""
    z, y, x = (
        float(index[side.start] + index[side.stop - 1]) / 2
        for index, side in zip(planes, box, strict=True)
    )
    return geometry.position_mm((x, y, z))


def _components_near(
    numbers: NDArray[np.int32], number: np.intp, box: Box, geometry: Geometry, rules: Rules
) -> NDArray[np.int32]:
    """Numbers of the components with at most ``joining_mm`` between them and ``number``."""
    spacing_mm = np.array(geometry.spacing_mm[::-1])
    reach = _reach(geometry, rules)
    window = tuple(
        slice(max(side.start - steps, 0), side.stop + steps)
        for side, steps in zip(box, reach, strict=True)
    )
    local = numbers[window]
    points = np.argwhere((local > 0) & (local != number))
    target = np.pad(local == number, [(steps, steps) for steps in reach])
    offsets = np.argwhere(np.ones([2 * steps + 1 for steps in reach])) - reach
    # Neighbouring voxels touch: between them lies one voxel less than between their centres.
    gaps_mm = np.linalg.norm(np.clip(np.abs(offsets) - 1, 0, None) * spacing_mm, axis=1)
    near = np.zeros(len(points), dtype=bool)
    for offset in offsets[gaps_mm <= rules.joining_mm + ROUNDING_MM]:
        near |= target[tuple((points + reach + offset).T)]
    return np.unique(local[tuple(points[near].T)])
