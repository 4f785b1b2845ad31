"""Morphology in millimetres, and the threshold between two classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meatus.components import Mask
from meatus.geometry import Array, Geometry

BINS = 256
ROUNDING_MM = 1e-6


def ball(radius_mm: float, geometry: Geometry) -> Mask:
    """(Z, Y, X): the voxels whose centres lie within ``radius_mm`` of the middle one.

    Along each axis at least the next voxel belongs to it: a radius below the slice distance
    would otherwise never leave the slice.
    """
    steps_mm = np.array(geometry.spacing_mm[::-1])
    reach = np.maximum(np.floor(radius_mm / steps_mm + ROUNDING_MM), 1).astype(int)
    radii_mm = np.maximum(steps_mm, radius_mm)
    offsets = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    squares = [
        (o * mm / radius) ** 2 for o, mm, radius in zip(offsets, steps_mm, radii_mm, strict=True)
    ]
    return np.asarray(np.sum(squares, axis=0) <= 1 + ROUNDING_MM)


def dilate(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """Grow ``mask`` (Z, Y, X) by ``radius_mm``, by one voxel at least along each axis."""
    boxes = ndimage.find_objects(mask.view(np.uint8))
    grown = np.zeros_like(mask)
    if not boxes:
        return grown
    element = ball(radius_mm, geometry)
    margin = [extent // 2 for extent in element.shape]
    wide = tuple(
        slice(max(s.start - m, 0), s.stop + m) for s, m in zip(boxes[0], margin, strict=True)
    )
    numbers = ndimage.label(mask[wide], np.ones((3, 3, 3)))[0]
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        local = tuple(
            slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True)
        )
        view = grown[wide][local]
        view |= ndimage.binary_dilation(numbers[local] == number, element)
    return grown


def fill_slices(mask: Mask) -> Mask:
    """``mask`` (Z, Y, X) with what it encloses in each slice."""
    return np.stack([ndimage.binary_fill_holes(part) for part in mask])


def otsu(values: Array | NDArray[np.floating]) -> float:
    """The threshold that parts ``values`` into the two classes that differ most.

    It maximises the variance between the classes (Otsu, IEEE Trans. SMC 9:62, 1979). Values
    that are all the same have themselves as threshold.
    """
    counts, edges = np.histogram(values, BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    sums = counts * middles
    mean_below = np.cumsum(sums)[:-1] / np.maximum(below, 1)
    mean_above = np.cumsum(sums[::-1])[::-1][1:] / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2
    # Between two separate classes every threshold is as good: the middle one errs least. Two ways
    # of parting may be equally good; what lies between those is not.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    ways = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(ways, key=len)
    return float((edges[1 + widest[0]] + edges[1 + widest[-1]]) / 2)
