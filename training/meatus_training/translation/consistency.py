"""Brightness and shading of translated slices, kept steady along z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Voxels = NDArray[np.float32]

# What a slice's shading may be multiplied by: beyond it is anatomy, not flicker.
GAIN_LIMITS = (0.5, 2.0)

# Added to brightness, which spans [0, 2], so that air has a shading of one.
FLOOR = 0.02


def steady(voxels: Voxels, shown: NDArray[np.bool_], low_sigma: float, z_sigma: float) -> Voxels:
    """(Z, Y, X) in [-1, 1] with the shading of each slice smoothed over its neighbours.

    The shading of a slice is its brightness above black, blurred by ``low_sigma`` voxels in
    plane. A slice is multiplied by its neighbourhood's shading (a Gaussian of ``z_sigma``
    slices) over its own, so that black stays black and detail stays where it is. Slices that
    are not ``shown`` (Z,) neither count nor change.
    """
    brightness = voxels + 1
    shading = ndimage.gaussian_filter(brightness, (0, low_sigma, low_sigma), mode="nearest") + FLOOR
    weights = shown.astype(np.float32)[:, None, None]
    summed, counted = (
        ndimage.gaussian_filter1d(values, z_sigma, axis=0, mode="constant")
        for values in (np.log(shading) * weights, weights)
    )
    gain = np.exp(summed / np.maximum(counted, 1e-6) - np.log(shading))
    changed = brightness * np.clip(gain, *GAIN_LIMITS) - 1
    kept = np.where(weights > 0, np.clip(changed, -1, 1), voxels)
    return np.asarray(kept, dtype=np.float32)


def flicker(voxels: NDArray[np.floating], low_sigma: float) -> float:
    """How much shading jumps: the mean absolute second difference along z of (Z, Y, X).

    A second difference, since anatomy that changes steadily from slice to slice has none.
    """
    exact = voxels.astype(np.float64)
    shading = ndimage.gaussian_filter(exact, (0, low_sigma, low_sigma), mode="nearest")
    return float(np.abs(np.diff(shading, n=2, axis=0)).mean())
