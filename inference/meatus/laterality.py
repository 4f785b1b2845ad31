"""Which ear a tumour lies by. Points are (N, 3) in mm along any one grid's x, y and z."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import scipy
from numpy.typing import NDArray

Points = NDArray[np.float64]


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

    None where they are not two (``split_sides``) whose middles lie ``apart_mm``.
    """
    left = split_sides(lateral_mm, between_mm)
    if left is None:
        return None
    between = np.linalg.norm(cochleas[left].mean(axis=0) - cochleas[~left].mean(axis=0))
    near, far = apart_mm
    return left if near <= between <= far else None


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
