"""Connected components of a label map: number them, fill their holes, join their islands."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus.geometry import Geometry
from meatus.structures import TUMOUR, Structure

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]

TOUCHING = np.ones((3, 3, 3), dtype=bool)  # 26 neighbours: thin parts stay whole across slices
# Of 18. Chosen on validation phantoms: at 13 and fewer what is filled is not always right.
SURROUNDING = 14

ROUNDING_MM = 1e-6  # lengths that differ by less are equal


def components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the connected components of ``mask`` (Z, Y, X), in raster order from 1.

    All 26 neighbours touch. Returns the numbers (Z, Y, X) and each one's voxel count; entry 0,
    the background, is 0.
    """
    numbers, count = scipy.ndimage.label(mask, TOUCHING)
    sizes = np.bincount(numbers[mask], minlength=count + 1)
    return numbers, sizes


def fill_holes(labels: LabelMap, structure: int, geometry: Geometry) -> LabelMap:
    """Give background that ``structure`` encloses on all sides its label."""
    mask = labels == structure
    boxes = scipy.ndimage.find_objects(mask.view(np.uint8))
    if not boxes:
        return labels
    filled = labels.copy()
    _fill(filled[boxes[0]], _enclosed(mask[boxes[0]]), (structure,), geometry)
    return filled


def fill_tumours(labels: LabelMap, geometry: Geometry) -> LabelMap:
    """Give background that a tumour surrounds the label of its nearest part.

    A cyst is of the tumour, but looks like the fluid outside it, and often its capsule is too
    thin to be seen: so a voxel is filled from which one tumour lies in ``SURROUNDING`` of the 18
    directions along axes and diagonals of planes, whatever lies between.
    """
    numbers, _ = components(mask_of(labels, TUMOUR))
    filled = labels.copy()
    for number, box in enumerate(scipy.ndimage.find_objects(numbers), start=1):
        inside = _directions(numbers[box] == number) >= SURROUNDING
        _fill(filled[box], inside, TUMOUR, geometry)
    return filled


def _fill(labels: LabelMap, inside: Mask, structures: Iterable[int], geometry: Geometry) -> None:
    """Label the background ``inside`` as the nearest of ``structures`` that touch it; in place."""
    cavity = inside & (labels == Structure.BACKGROUND)
    if not cavity.any():
        return
    rim = scipy.ndimage.binary_dilation(cavity, TOUCHING)
    spacing_mm = np.array(geometry.spacing_mm[::-1])
    points_mm = np.argwhere(cavity) * spacing_mm
    nearest_mm = np.full(len(points_mm), np.inf)
    nearest = np.zeros(len(points_mm), dtype=np.uint8)
    for structure in structures:  # at equal distance the first structure has it
        wall_mm = np.argwhere(rim & (labels == structure)) * spacing_mm
        if len(wall_mm) == 0:
            continue
        distance_mm = scipy.spatial.KDTree(wall_mm).query(points_mm)[0]
        nearer = distance_mm < nearest_mm - ROUNDING_MM
        nearest[nearer] = structure
        nearest_mm = np.minimum(distance_mm, nearest_mm)
    labels[cavity] = nearest


def _directions(mask: Mask) -> NDArray[np.uint8]:
    """In how many of 18 directions ``mask`` (Z, Y, X) lies from each voxel, itself among them."""
    along = (_both_ways(mask, axis) for axis in range(3))
    across = (_diagonals(mask, pair) for pair in combinations(range(3), 2))
    counts: NDArray[np.uint8] = np.sum([*along, *across], axis=0, dtype=np.uint8)
    return counts


def _both_ways(mask: Mask, axis: int) -> NDArray[np.uint8]:
    """0, 1 or 2: whether ``mask`` lies before and behind each voxel along ``axis``."""
    before = np.logical_or.accumulate(mask, axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
    return np.add(before, behind, dtype=np.uint8)


def _diagonals(mask: Mask, plane: tuple[int, int]) -> NDArray[np.uint8]:
    """The same along the four diagonals of the planes of two axes."""
    turned = np.moveaxis(mask, plane, (-2, -1))
    rows, columns = turned.shape[-2:]
    row, column = np.arange(rows)[:, None], np.arange(columns)
    counts = np.zeros(turned.shape, dtype=np.uint8)
    for shifted in (column + row, column - row + rows - 1):  # a diagonal becomes a column
        sheared = np.zeros((turned.shape[0], rows, columns + rows - 1), dtype=bool)
        sheared[:, row, shifted] = turned
        counts += _both_ways(sheared, 1)[:, row, shifted]
    return np.moveaxis(counts, (-2, -1), plane)


def _enclosed(mask: Mask) -> Mask:
    """Where ``mask`` (Z, Y, X) is false and no path over faces leads to the array's border."""
    numbers, count = scipy.ndimage.label(~mask)
    is_open = np.zeros(count + 1, dtype=bool)
    is_open[0] = True  # the mask itself
    for axis in range(3):
        is_open[numbers.take([0, -1], axis=axis)] = True
    return np.asarray(~is_open[numbers])


def join_islands(labels: LabelMap) -> LabelMap:
    """Make either part of each tumour one component: smaller ones take the other's label.

    Such a component always touches the other label, or it would be a tumour of its own. The part
    inside the canal comes first, as in the published voting.
    """
    tumour = mask_of(labels, TUMOUR)
    boxes = scipy.ndimage.find_objects(tumour.view(np.uint8))
    if not boxes:
        return labels
    joined = labels.copy()
    view = joined[boxes[0]]
    tumours, _ = components(tumour[boxes[0]])
    extra, intra = TUMOUR
    for label, other in ((intra, extra), (extra, intra)):
        numbers, sizes = components(view == label)
        owner = np.zeros(sizes.size, dtype=np.int32)
        owner[numbers] = np.where(numbers > 0, tumours, 0)
        largest_first = np.lexsort((-sizes, owner))  # stable: the first of equals leads
        _, leaders = np.unique(owner[largest_first], return_index=True)
        island = np.ones(sizes.size, dtype=bool)
        island[largest_first[leaders]] = False
        view[island[numbers]] = other
    return joined


def join_specks(labels: LabelMap, smallest: float) -> LabelMap:
    """Make tumours with fewer than ``smallest`` voxels outside the meatus, but some inside, intra.

    A tumour without a part inside stays as it is.
    """
    extra, intra = (labels == label for label in TUMOUR)
    if not (extra.any() and intra.any()):
        return labels
    tumours, sizes = components(extra | intra)
    outside = np.bincount(tumours[extra], minlength=sizes.size)
    inside = np.bincount(tumours[intra], minlength=sizes.size)
    joins = (outside < smallest) & (inside > 0)
    joined = labels.copy()
    joined[extra & joins[tumours]] = Structure.INTRA_MEATAL
    return joined


def mask_of(labels: LabelMap, structures: Iterable[int]) -> Mask:
    """Where ``labels`` (Z, Y, X) holds one of ``structures``, of which there is at least one."""
    first, *others = structures
    mask: Mask = labels == first
    for structure in others:
        mask |= labels == structure
    return mask
