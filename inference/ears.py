"""Which ear a tumour lies by. Places are (N, 3) in mm along any one grid's x, y and z."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import spatial

Places = NDArray[np.float64]


class Ear(IntEnum):
    """The side of the patient."""

    NEITHER = 0
    RIGHT = 1
    LEFT = 2


def on_left(
    lateral_mm: NDArray[np.float64],
    cochleas: Places,
    between_mm: float,
    apart_mm: tuple[float, float],
) -> NDArray[np.bool_] | None:
    """Which places of ``cochleas`` are of the left one.

    ``lateral_mm`` (N,) are the same places along the patient's x, which runs to the left. None
    where they span less than ``between_mm``, or are not two whose middles lie ``apart_mm``.
    """
    if not len(cochleas) or np.ptp(lateral_mm) < between_mm:
        return None
    left: NDArray[np.bool_] = lateral_mm > (lateral_mm.min() + lateral_mm.max()) / 2
    between = np.linalg.norm(cochleas[left].mean(axis=0) - cochleas[~left].mean(axis=0))
    near, far = apart_mm
    return left if near <= between <= far else None


def nearest_ears(
    tumours: Places,
    numbers: NDArray[np.int32],
    count: int,
    cochleas: Places,
    left: NDArray[np.bool_],
    most_mm: float,
) -> NDArray[np.int8]:
    """The ``Ear`` (count,) by which each tumour lies: that of the nearest cochlea.

    ``numbers`` (N,) say whose each place of ``tumours`` is, ``left`` which places of ``cochleas``
    are of the left one. A tumour that comes no nearer than ``most_mm`` lies by neither.
    """
    gap_mm, nearest = spatial.KDTree(cochleas).query(tumours)
    last_is_nearest = np.argsort(-gap_mm, kind="stable")
    side = np.where(gap_mm <= most_mm, np.where(left[nearest], Ear.LEFT, Ear.RIGHT), Ear.NEITHER)
    ears = np.full(count, Ear.NEITHER, dtype=np.int8)
    ears[numbers[last_is_nearest]] = side[last_is_nearest]
    return ears
