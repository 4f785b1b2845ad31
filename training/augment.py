"""Variations of a training window that a scanner could have made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.geometry import Array
from inference.intensity import BLACK
from inference.structures import Structure


def augment(
    voxels: Array, labels: NDArray[np.uint8], draw: np.random.Generator
) -> tuple[Array, NDArray[np.uint8]]:
    """Flip, shift intensities of image and targets, blur, add noise, blank a border."""
    for axis in range(3):
        if draw.random() < 0.5:
            voxels, labels = np.flip(voxels, axis), np.flip(labels, axis)
    inside = voxels > BLACK
    gamma, gain = np.exp(draw.normal(0, 0.25)), draw.uniform(0.85, 1.15)
    unit = np.asarray((voxels + 1) / 2, dtype=np.float32) ** np.float32(gamma) * np.float32(gain)
    unit = _shift_targets(unit, labels, draw)
    if draw.random() < 0.3:
        unit = ndimage.gaussian_filter(unit, (0, *[draw.uniform(0.3, 1.2)] * 2))
    if draw.random() < 0.5:
        grain = draw.standard_normal(unit.shape, dtype=np.float32)
        unit = unit + grain * np.float32(draw.uniform(0, 0.06))
    shifted = np.where(inside, np.clip(2 * unit - 1, -1, 1), BLACK).astype(np.float32)
    return _blank_border(shifted, labels, draw)


def _shift_targets(unit: Array, labels: NDArray[np.uint8], draw: np.random.Generator) -> Array:
    """Make the tumour and the cochlea darker or brighter on their own (paper: 0.6 to 1.5)."""
    if draw.random() < 0.5:
        return unit
    factor = np.ones(len(Structure), dtype=np.float32)
    factor[[Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL]] = draw.uniform(0.75, 1.35)
    factor[Structure.COCHLEA] = draw.uniform(0.6, 1.1)
    return unit * factor[labels]


def _blank_border(
    voxels: Array, labels: NDArray[np.uint8], draw: np.random.Generator
) -> tuple[Array, NDArray[np.uint8]]:
    """Paint a strip at one side of the image black, as in scans cut short or defaced."""
    if draw.random() > 0.15:
        return voxels, labels
    axis = int(draw.integers(1, 3))
    width = int(draw.integers(1, voxels.shape[axis] // 4))
    strip = [slice(None)] * 3
    strip[axis] = slice(0, width) if draw.random() < 0.5 else slice(-width, None)
    voxels, labels = voxels.copy(), labels.copy()
    voxels[tuple(strip)] = BLACK
    labels[tuple(strip)] = Structure.BACKGROUND
    return voxels, labels
