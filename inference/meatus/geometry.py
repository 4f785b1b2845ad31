"""Where voxels lie in the patient, and the only spatial operation: resampling.

Arrays are (Z, Y, X); sizes, spacings and origins are (x, y, z) in millimetres, LPS+ as in ITK.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Voxel = TypeVar("Voxel", bound=np.generic)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in the patient, in millimetres (LPS+, as in ITK)."""

    size: tuple[int, int, int]  # voxels along x, y, z
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]  # centre of the first voxel
    direction: tuple[float, ...] = IDENTITY  # (3, 3), row by row; columns are the grid's axes

    @property
    def shape(self) -> tuple[int, int, int]:
        """The array's shape (Z, Y, X)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxel_mm3(self) -> float:
        return math.prod(self.spacing_mm)

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3): column i is the unit vector of grid axis i."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    def position_mm(self, index: tuple[float, float, float]) -> tuple[float, float, float]:
        """Patient position of a (fractional) voxel ``index`` (x, y, z)."""
        step = self.axes @ (np.array(index) * np.array(self.spacing_mm))
        x, y, z = np.array(self.origin_mm) + step
        return float(x), float(y), float(z)

    def crop(self, start: tuple[int, int, int], size: tuple[int, int, int]) -> Geometry:
        """The grid of ``size`` voxels from voxel ``start``, which may lie outside (padding)."""
        return replace(self, origin_mm=self.position_mm(start), size=size)

    def regrid(
        self,
        start: tuple[float, float, float],
        step: tuple[float, float, float],
        size: tuple[int, int, int],
    ) -> Geometry:
        """A grid with the same axes that starts at index ``start`` and steps ``step`` voxels."""
        x, y, z = (s * t for s, t in zip(self.spacing_mm, step, strict=True))
        return replace(self, origin_mm=self.position_mm(start), spacing_mm=(x, y, z), size=size)


def reorient(voxels: NDArray[Voxel], source: Geometry, target: Geometry) -> NDArray[Voxel]:
    """Transpose and flip ``voxels`` (Z, Y, X) of ``source`` to the axis order of ``target``.

    Both grids hold the same voxels; no value is interpolated. The result is a view.
    """
    overlap = source.axes.T @ target.axes  # a signed permutation
    order = [int(np.argmax(np.abs(overlap[:, axis]))) for axis in range(3)]
    turned = voxels.transpose([2 - order[2 - axis] for axis in range(3)])
    back = [overlap[order[2 - axis], 2 - axis] < 0 for axis in range(3)]
    return turned[tuple(slice(None, None, -1 if flip else None) for flip in back)]


def axial(source: Geometry) -> Geometry:
    """The grid of the same voxels whose axes run most nearly to left, posterior and superior.

    The axes keep their obliqueness: voxels are renumbered, never moved.
    """
    order = _nearest_axes(source.axes)
    signs = [math.copysign(1.0, source.axes[world, order[world]]) for world in range(3)]
    first = [0.0, 0.0, 0.0]
    for world in range(3):
        if signs[world] < 0:
            first[order[world]] = source.size[order[world]] - 1
    axes = source.axes[:, order] * np.array(signs)
    return Geometry(
        size=(source.size[order[0]], source.size[order[1]], source.size[order[2]]),
        spacing_mm=(
            source.spacing_mm[order[0]],
            source.spacing_mm[order[1]],
            source.spacing_mm[order[2]],
        ),
        origin_mm=source.position_mm((first[0], first[1], first[2])),
        direction=tuple(float(v) for v in axes.ravel()),
    )


def _nearest_axes(axes: NDArray[np.float64]) -> list[int]:
    """For world axes x, y, z the grid axis that fits best, each grid axis used once."""
    left = np.abs(axes)
    order = [0, 0, 0]
    for _ in range(3):
        world, grid = np.unravel_index(int(np.argmax(left)), left.shape)
        order[int(world)] = int(grid)
        left[world, :] = -1
        left[:, grid] = -1
    return order


def positions(source: Geometry, target: Geometry, axis: int) -> NDArray[np.float64]:
    """Indices in ``source`` of the target's voxel centres along ``axis``."""
    offset = np.array(target.origin_mm) - np.array(source.origin_mm)
    start = float(offset @ source.axes[:, axis]) / source.spacing_mm[axis]
    step = target.spacing_mm[axis] / source.spacing_mm[axis]
    at = start + step * np.arange(target.size[axis])
    # Positions within a hair of a voxel centre are that centre: rounding must not blur.
    return np.where(np.abs(at - np.rint(at)) < 1e-6, np.rint(at), at)


def axis_weights(
    source: Geometry, target: Geometry, axis: int, *, antialias: bool = False
) -> Array:
    """Linear interpolation weights (target size, source size) along grid axis 0=x, 1=y, 2=z.

    Exact where centres coincide; outside the source the border value is carried on.
    ``antialias`` widens the triangle to the target's spacing where that is coarser, so
    that fine voxels are averaged and not skipped.
    """
    last = source.size[axis] - 1
    at = np.clip(positions(source, target, axis), 0, last)
    reach = target.spacing_mm[axis] / source.spacing_mm[axis] if antialias else 1.0
    distance = np.abs(np.arange(last + 1) - at[:, None])
    weights = np.clip(1 - distance / max(reach, 1.0), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def covered(source: Geometry, target: Geometry, axis: int) -> slice:
    """The target voxels along ``axis`` whose centres lie in a voxel of ``source``."""
    at = positions(source, target, axis)
    inside = np.flatnonzero((at >= -0.5) & (at <= source.size[axis] - 0.5))
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)


def resample(
    voxels: Array, source: Geometry, target: Geometry, *, antialias: bool = False
) -> Array:
    """Interpolate ``voxels`` (..., Z, Y, X) of ``source`` linearly at ``target``'s voxel centres.

    Both grids must share their axes. See ``axis_weights`` for borders and ``antialias``.
    """
    for axis in (2, 1, 0):
        if _same_line(source, target, axis):
            continue
        weights = axis_weights(source, target, axis, antialias=antialias)
        if axis == 0:
            voxels = voxels @ weights.T
        elif axis == 1:
            voxels = weights @ voxels
        else:
            voxels = np.asarray(np.einsum("mn,...nyx->...myx", weights, voxels, optimize=True))
    return voxels


def _same_line(source: Geometry, target: Geometry, axis: int) -> bool:
    """Whether the two grids have the same voxel centres along ``axis``."""
    return source.size[axis] == target.size[axis] and np.array_equal(
        positions(source, target, axis), np.arange(source.size[axis])
    )
