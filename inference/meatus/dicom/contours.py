"""The outlines of a label on one image, as closed polygons."""

from __future__ import annotations

import itertools

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

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
        for hole in sorted(rings[1:], key=lambda ring: float(ring[:, 1].min())):  # from the top
            outer = _joined(outer, hole)
        found.append(outer)
    return found


def _joined(outer: Points, hole: Points) -> Points:
    """Both rings as one, which goes to the hole and back through a channel up from it."""
    j, door = _door(hole)
    i, way_in = _above(outer, door)
    there, back = np.stack([way_in, door]), np.stack([door, way_in])
    return np.concatenate(
        [outer[: i + 1], there, hole[j + 1 :], hole[: j + 1], back, outer[i + 1 :]]
    )


def _door(hole: Points) -> tuple[int, Points]:
    """The highest oblique edge (after which point) and its middle.

    Its x is a quarter off a pixel's centre, so that a channel straight up meets none.
    """
    edges = np.roll(hole, -1, axis=0) - hole
    oblique = np.flatnonzero((edges != 0).all(axis=1))
    middles = hole[oblique] + edges[oblique] / 2
    highest = int(middles[:, 1].argmin())
    return int(oblique[highest]), middles[highest]


def _above(ring: Points, point: Points) -> tuple[int, Points]:
    """The nearest edge of ``ring`` above ``point`` (after which of its points), and where."""
    ends = np.roll(ring, -1, axis=0)
    across = np.flatnonzero((ring[:, 0] - point[0]) * (ends[:, 0] - point[0]) < 0)
    start, end = ring[across], ends[across]
    share = (point[0] - start[:, 0]) / (end[:, 0] - start[:, 0])
    heights = start[:, 1] + share * (end[:, 1] - start[:, 1])
    heights[heights >= point[1]] = -np.inf
    nearest = int(heights.argmax())
    return int(across[nearest]), np.array([point[0], heights[nearest]])
