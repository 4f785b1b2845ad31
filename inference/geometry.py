"""Where voxels lie in the patient, and the only spatial operation: resampling.

Arrays are (Z, Y, X); sizes, spacings and origins are (x, y, z) in millimetres, LPS+ as in ITK.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float32]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

# Two grids share an axis where their unit vectors differ by less than this.
SAME_AXIS = 1e-4


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


def reorient(
    voxels: NDArray[np.generic], source: Geometry, target: Geometry
) -> NDArray[np.generic]:
    """Transpose and flip ``voxels`` (Z, Y, X) of ``source`` to the axis order of ``target``.

    Both grids hold the same voxels; no value is interpolated.
    """
    overlap = source.axes.T @ target.axes  # signed permutation, up to obliqueness
    order = [int(np.argmax(np.abs(overlap[:, axis]))) for axis in range(3)]
    turned = voxels.transpose([2 - order[2 - axis] for axis in range(3)])
    flips = [2 - axis for axis in range(3) if overlap[order[axis], axis] < 0]
    return np.flip(turned, flips)


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


def axis_weights(
    source: Geometry, target: Geometry, axis: int, *, antialias: bool = False
) -> sparse.csr_array:
    """Linear interpolation weights (target size, source size) along grid axis 0=x, 1=y, 2=z.

    Exact where centres coincide; outside the source the border value is carried on.
    ``antialias`` widens the triangle to the target's spacing where that is coarser, so
    that fine voxels are averaged and not skipped.
    """
    n, m = source.size[axis], target.size[axis]
    offset = np.array(target.origin_mm) - np.array(source.origin_mm)
    start = float(offset @ source.axes[:, axis]) / source.spacing_mm[axis]
    step = target.spacing_mm[axis] / source.spacing_mm[axis]
    at = start + step * np.arange(m)
    # Positions within a hair of a voxel centre are that centre: rounding must not blur.
    at = np.where(np.abs(at - np.rint(at)) < 1e-7, np.rint(at), at)
    at = np.clip(at, 0, n - 1)
    reach = max(step, 1.0) if antialias else 1.0
    taps = int(np.ceil(reach)) * 2 + 1
    columns = np.floor(at)[:, None].astype(np.int64) + np.arange(taps) - taps // 2
    weights = np.clip(1 - np.abs(columns - at[:, None]) / reach, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(m), taps)
    inside = np.clip(columns, 0, n - 1).ravel()
    table = sparse.coo_array((weights.ravel(), (rows, inside)), shape=(m, n))
    return sparse.csr_array(table, dtype=np.float32)
