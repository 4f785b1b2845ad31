"""Signed distances in the anatomical frame: millimetres, negative inside.

The frame: origin midway between both pori, x to the left, y anterior, z up. Shapes of one
side are written for the left and mirrored. A plane is one thin cut through the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Array
from inference.structures import Structure
from training.phantom.appearance import Tissue

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Plane:
    """Anatomical positions and random fields on one cut, all (Y, X)."""

    x: Array
    y: Array
    z: Array
    lumps: Array  # SD 1, correlated over about 9 mm
    ripple: Array  # SD 1, about 4 mm
    grain: Array  # SD 1, about 1.5 mm
    known: dict[Distance, Array] = field(default_factory=dict)  # see `remember`

    def cut(self, window: tuple[slice, slice], side: int) -> Plane:
        """The part in ``window``; ``side`` -1 mirrors it to the left."""
        return Plane(
            x=self.x[window] * np.float32(side),
            y=self.y[window],
            z=self.z[window],
            lumps=self.lumps[window],
            ripple=self.ripple[window],
            grain=self.grain[window],
        )


Distance = Callable[[Plane], Array]


def remember(distance: Distance) -> Distance:
    """The same distance, computed once per plane: large shapes serve several parts."""

    def remembered(plane: Plane) -> Array:
        if distance not in plane.known:
            plane.known[distance] = distance(plane)
        return plane.known[distance]

    return remembered


@dataclass(frozen=True)
class Part:
    """A shape filled with one tissue; later parts cover earlier ones."""

    tissue: Tissue
    distance: Distance
    centre: Point | None = None  # none: the part spans the whole plane
    reach_mm: float = 0.0
    side: int = 1  # -1: mirrored to the right
    label: Structure | None = None
    opacity: float = 1.0


def window_of(plane: Plane, part: Part) -> tuple[slice, slice] | None:
    """The window of ``plane`` that can hold ``part``; none where it cannot."""
    if part.centre is None:
        return slice(None), slice(None)
    x, y, z = part.centre
    x *= part.side
    column = int(np.argmin(np.abs(plane.x[plane.x.shape[0] // 2] - x)))
    row = int(np.argmin(np.abs(plane.y[:, column] - y)))
    column = int(np.argmin(np.abs(plane.x[row] - x)))
    reach = 1.2 * part.reach_mm + 2  # the pose's tilt and the warp bend the axes a little
    rows = np.flatnonzero(np.abs(plane.y[:, column] - y) < reach)
    columns = np.flatnonzero(np.abs(plane.x[row] - x) < reach)
    if abs(plane.z[row, column] - z) > reach or not rows.size or not columns.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def both(first: NDArray[np.floating], second: NDArray[np.floating]) -> Array:
    """The intersection of two shapes."""
    return np.asarray(np.maximum(first, second), dtype=np.float32)


def either(first: Distance, second: Distance) -> Distance:
    """The union of two shapes."""
    return lambda plane: np.asarray(np.minimum(first(plane), second(plane)))


def smooth_max(first: Array, second: Array, rounding_mm: float) -> Array:
    """The intersection of two shapes with a rounded edge (polynomial smooth maximum)."""
    overlap = np.clip(1 - np.abs(first - second) / rounding_mm, 0, None)
    return np.asarray(np.maximum(first, second) + overlap**2 * (rounding_mm / 4))


def ellipsoid(centre: Point, radii: Point) -> Distance:
    """First-order distance to an ellipsoid: exact on its surface."""
    middle = np.array(centre, dtype=np.float32)
    a, b, c = (1 / np.array(radii) ** 2).astype(np.float32)

    def distance(plane: Plane) -> Array:
        x, y, z = plane.x - middle[0], plane.y - middle[1], plane.z - middle[2]
        xx, yy, zz = x * x * a, y * y * b, z * z * c
        level = np.sqrt(xx + yy + zz)
        slope = np.sqrt(xx * a + yy * b + zz * c) + np.float32(1e-6)
        return np.asarray(level * (level - 1) / slope)

    return distance


def tube(points: np.ndarray, radii: np.ndarray) -> Distance:
    """A round tube along the polyline ``points`` (N, 3) with a radius at each point."""

    def distance(plane: Plane) -> Array:
        path, ends = points.astype(np.float32), radii.astype(np.float32)
        best = np.full(plane.x.shape, 1e3, dtype=np.float32)
        for start, end, r0, r1 in zip(path, path[1:], ends, ends[1:], strict=False):
            along = end - start
            x, y, z = plane.x - start[0], plane.y - start[1], plane.z - start[2]
            t = (x * along[0] + y * along[1] + z * along[2]) / np.float32(along @ along + 1e-9)
            t = np.clip(t, 0, 1)
            x, y, z = x - t * along[0], y - t * along[1], z - t * along[2]
            gap = np.sqrt(x * x + y * y + z * z) - (r0 + t * (r1 - r0))
            best = np.minimum(best, gap)
        return best

    return distance


def rod(start: Point, end: Point, radius_mm: float) -> Distance:
    """A straight tube with round ends."""
    return tube(np.array([start, end], dtype=np.float32), np.array([radius_mm, radius_mm]))


def ball(tissue: Tissue, centre: Point, radii: Point, side: int = 1) -> Part:
    """An ellipsoid as a part."""
    return Part(tissue, ellipsoid(centre, radii), centre, max(radii), side)


def pipe(tissue: Tissue, points: list[Point], radius_mm: float, side: int = 1) -> Part:
    """A tube of constant radius as a part."""
    path = np.array(points, dtype=np.float32)
    middle = (path.min(axis=0) + path.max(axis=0)) / 2
    reach = float(np.abs(path - middle).max()) + radius_mm
    centre = (float(middle[0]), float(middle[1]), float(middle[2]))
    return Part(tissue, tube(path, np.full(len(path), radius_mm)), centre, reach, side)
