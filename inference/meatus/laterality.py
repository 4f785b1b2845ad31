"""Which ear a tumour lies by, and where the other ear is. Points (N, 3) are in mm."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import ROUNDING_MM, components
from meatus.structures import Structure
from meatus.volumes import Labels, Probabilities

Points = NDArray[np.float64]

# Everyone has two cochleas. Where one is found, so much is enough at the mirrored place: the most
# probable of four classes may have little more.
FAINT = 0.2


class Ear(IntEnum):
    """The side of the patient."""

    NEITHER = 0
    RIGHT = 1
    LEFT = 2


def split_sides(lateral_mm: NDArray[np.float64], between_mm: float) -> NDArray[np.bool_] | None:
    """Which points are of the left of two ears, by the patient's x (N,), which runs to the left.

    None where they span less than ``between_mm``, so that they are of one ear or none.
    """
    if not len(lateral_mm) or np.ptp(lateral_mm) < between_mm:
        return None
    return np.asarray(lateral_mm > (lateral_mm.min() + lateral_mm.max()) / 2)


def on_left(
    lateral_mm: NDArray[np.float64],
    cochleas: Points,
    between_mm: float,
    apart_mm: tuple[float, float],
) -> NDArray[np.bool_] | None:
    """Which points of ``cochleas`` are of the left one, by ``lateral_mm`` (N,) of the same points.

    None where they are not two (``split_sides``) whose middles lie ``apart_mm``, one nearly beside
    the other.
    """
    left = split_sides(lateral_mm, between_mm)
    if left is None:
        return None
    between = np.linalg.norm(cochleas[left].mean(axis=0) - cochleas[~left].mean(axis=0))
    across = lateral_mm[left].mean() - lateral_mm[~left].mean()
    beside = abs(across) >= between * np.cos(np.radians(anatomy.EARS_TURNED_DEG))
    near, far = apart_mm
    return left if beside and near <= between <= far else None


def likely_cochleas(
    sizes: NDArray[np.int64], middles: Points, between_mm: float, apart_mm: tuple[float, float]
) -> list[int]:
    """Which one or two of the parts with ``middles`` (N, 3), in the patient, are the cochleae.

    Two lie ``between_mm`` from side to side at least: those that hold most, where two count twice
    that lie ``apart_mm`` from each other and nearly level, as ears do. The midline of a scan that
    is off centre is unknown, but this is not: such two beat a larger false part between them, or
    far above or below one. ``sizes`` (N,), largest first, are in voxels.
    """
    near, far = apart_mm
    best: list[int] = []
    most = 0
    for first in range(sizes.size):
        if 4 * int(sizes[first]) <= most:
            break  # those that follow are no larger, so no pair of them counts more
        offsets = np.abs(middles - middles[first])
        gaps = np.linalg.norm(offsets, axis=1)
        two = offsets[:, 0] >= between_mm - ROUNDING_MM
        level = (offsets[:, 1:] <= anatomy.EARS_UNLIKE_MM + ROUNDING_MM).all(axis=1)
        as_ears = level & (gaps >= near - ROUNDING_MM) & (gaps <= far + ROUNDING_MM)
        counts = (sizes[first] + np.where(two, sizes, 0)) * np.where(two & as_ears, 2, 1)
        other = int(np.argmax(counts))
        if counts[other] > most:
            best, most = [first, *([other] if two[other] else [])], int(counts[other])
    return best


def with_faint_cochlea(
    probabilities: Probabilities, labels: Labels, middle_x: float | None, one_ear_mm: float
) -> Probabilities | None:
    """``probabilities`` in which the other ear's cochlea is certain where it was faint.

    The place is that of the one that ``labels`` have, mirrored at ``middle_x``, or else at the
    middle of the field, which lies about the head's. None where they have none, or both, or nothing
    is there.
    """
    labels = labels.boxed
    at = np.argwhere(labels.voxels == Structure.COCHLEA)[:, ::-1] * labels.geometry.spacing_mm
    found = np.array(labels.geometry.origin_mm) + at @ labels.geometry.axes.T
    if not len(found) or np.ptp(found[:, 0]) >= one_ear_mm:
        return None
    ear, grid = found.mean(axis=0), probabilities.geometry
    x, y, z = ((size - 1) / 2 for size in grid.size)
    middle = grid.position_mm((x, y, z))[0] if middle_x is None else middle_x
    mirrored = ear * (-1, 1, 1) + (2 * middle, 0, 0)
    cochlea = probabilities.voxels[Structure.COCHLEA]
    faint = np.argwhere(cochlea >= FAINT)
    places = np.array(grid.origin_mm) + (faint[:, ::-1] * grid.spacing_mm) @ grid.axes.T
    apart = np.linalg.norm(places - ear, axis=1)
    near, far = anatomy.COCHLEAS_APART_USUAL_MM
    likely = (np.abs(places - mirrored) <= anatomy.EARS_UNLIKE_MM).all(axis=1)
    mask = np.zeros(cochlea.shape, dtype=np.bool_)
    mask[tuple(faint[likely & (apart >= near) & (apart <= far)].T)] = True
    numbers, sizes = components(mask)
    volumes_mm3 = np.bincount(numbers[mask], cochlea[mask], sizes.size) * grid.voxel_mm3
    best = int(np.argmax(volumes_mm3))
    if sizes[best] * grid.voxel_mm3 < anatomy.SMALLEST_COCHLEA_MM3:
        return None
    voxels = probabilities.voxels.copy()
    voxels[:, numbers == best] = 0
    voxels[Structure.COCHLEA, numbers == best] = 1
    return replace(probabilities, voxels=voxels)


def nearest_ears(
    tumours: Points,
    numbers: NDArray[np.int32],
    count: int,
    cochleas: Points,
    left: NDArray[np.bool_],
    most_mm: float,
) -> NDArray[np.int8]:
    """The ``Ear`` (count,) by which each tumour lies: that of the nearest cochlea.

    ``numbers`` (N,) say whose each point of ``tumours`` is, ``left`` which points of ``cochleas``
    are of the left one. A tumour that comes no nearer than ``most_mm`` lies by neither.
    """
    gap_mm, nearest = scipy.spatial.KDTree(cochleas).query(tumours)
    last_is_nearest = np.argsort(-gap_mm, kind="stable")
    side = np.where(gap_mm <= most_mm, np.where(left[nearest], Ear.LEFT, Ear.RIGHT), Ear.NEITHER)
    ears = np.full(count, Ear.NEITHER, dtype=np.int8)
    ears[numbers[last_is_nearest]] = side[last_is_nearest]
    return ears
