"""Intensities to [-1, 1], as the weights' training did it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meatus.errors import ScanError
from meatus.geometry import Array
from meatus.spec import SliceNormalisation, VolumeNormalisation

USUAL_RANGE = 800.0  # of the scans that the published rule was made for
BLACK = -1.0  # also the value of everything outside the scan


def usable_slices(voxels: Array, rule: SliceNormalisation) -> NDArray[np.bool_]:
    """(Z,): whether a slice's range exceeds ``min_range``, so that it shows anything.

    The range is taken in float, so that it cannot wrap as it does in 16-bit integers. What slices
    usually span is the median of those that are not constant, which one hot voxel does not move.
    """
    spread = voxels.max(axis=(1, 2)) - voxels.min(axis=(1, 2))
    usual = float(np.median(spread[spread > 0])) if spread.any() else 0.0
    return np.asarray(spread > rule.min_range * usual / USUAL_RANGE)


def normalise_slices(voxels: Array, rule: SliceNormalisation) -> Array:
    """Scale each slice of (Z, Y, X) by its own percentiles; unusable slices become 0.

    The rule of the published implementation. A slice whose two percentiles coincide
    becomes -1 throughout.
    """
    result = np.zeros(voxels.shape, dtype=np.float32)
    for index in np.flatnonzero(usable_slices(voxels, rule)):
        low, high = np.percentile(voxels[index].astype(np.float64), [rule.lower, rule.upper])
        unit = (np.clip(voxels[index], low, high) - low) / ((high - low) or 1.0)
        result[index] = 2 * unit - 1
    return result


def normalise_volume(voxels: Array, rule: VolumeNormalisation) -> Array:
    """Scale (Z, Y, X) by the percentiles of the volume's non-empty voxels.

    Painted-out faces and padding hold the volume's minimum; counting them would make the
    scaling depend on how much of the field is empty.

    Raises ``ScanError`` where the volume has a single value.
    """
    sample = voxels[:, ::2, ::2]  # a quarter of the voxels settles the percentiles
    filled = sample[sample > voxels.min()]
    if filled.size == 0:
        raise ScanError("all voxels near the head's centre have the same value: nothing to see")
    low, high = (float(value) for value in np.percentile(filled, [rule.lower, rule.upper]))
    if high == low:  # what is not empty has one value: as bright as can be
        high, low = low, float(voxels.min())
    unit = np.clip((voxels - low) / (high - low), 0, 1, dtype=np.float32)
    return np.asarray(2 * unit**rule.power - 1, dtype=np.float32)


def pooled(voxels: Array, steps: tuple[int, int, int], rule: VolumeNormalisation) -> Array:
    """Means over blocks of ``steps`` (z, y, x) of what ``normalise_volume`` made by ``rule``.

    Signal is averaged, as a coarser scan would, not its root. Rows and columns are multiples of
    their steps; slices that are left over at the end are a block of their own.
    """
    deep, *plane = steps
    missing = -len(voxels) % deep
    filled = np.concatenate([voxels, np.repeat(voxels[-1:], missing, axis=0)])
    rows, columns = (count // step for count, step in zip(voxels.shape[1:], plane, strict=True))
    signal = ((filled + 1) / 2) ** (1 / rule.power)
    blocks = signal.reshape(-1, deep, rows, plane[0], columns, plane[1])
    return np.asarray(2 * blocks.mean(axis=(1, 3, 5)) ** rule.power - 1, dtype=np.float32)
