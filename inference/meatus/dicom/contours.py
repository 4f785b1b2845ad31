"""The outlines of a label on one image, as closed polygons."""

from __future__ import annotations

import itertools

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from scipy import spatial

Points = NDArray[np.float64]  # (n, 2): pixels x, y; 0, 0 is the first pixel's centre

# The line runs halfway between the centre of a pixel inside and that of one outside.
HALFWAY = 0.5


def outlines(mask: NDArray[np.bool_]) -> list[Points]:
    """One polygon for each separate part of ``mask`` (Y, X), not closed by a repeated point.

    Centres of pixels inside lie within, all others without. A hole is joined to the outline by a
    channel of no width, which planning systems expect (PS3.3, C.8.8.6.3, "keyhole").
    """
    padded = np.pad(mask, 1).astype(np.float64)
    drawn = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*drawn.filled(HALFWAY, 2.0), strict=True):
        rings = [points[a : b - 1] - 1 for a, b in itertools.pairwise(offsets)]
        outer = rings[0]
        for hole in sorted(rings[1:], key=lambda ring: _nearest(rings[0], ring)[0]):
            outer = _joined(outer, hole)
        found.append(outer)
    return found


def _joined(outer: Points, hole: Points) -> Points:
    _, i, j = _nearest(outer, hole)
    return np.concatenate([outer[: i + 1], hole[j:], hole[: j + 1], outer[i:]])


def _nearest(one: Points, other: Points) -> tuple[float, int, int]:
    """How near two rings come, and the number of either point."""
    apart = spatial.distance.cdist(one, other)
    i, j = np.unravel_index(int(apart.argmin()), apart.shape)
    return float(apart[i, j]), int(i), int(j)
