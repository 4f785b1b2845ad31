"""Where voxels lie in the patient, and how values get from one grid to another.

Intensities and probabilities are interpolated (``resample``). A label map takes the nearest
voxel's label (``nearest_labels``), or that of the class with the largest share of a voxel
(``largest_share_labels``), which is what a network learns from.

Arrays are (Z, Y, X); sizes, spacings and origins are (x, y, z) in millimetres, LPS+ as in ITK.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from meatus.structures import Structure

Array = NDArray[np.float32]
Voxel = TypeVar("Voxel", bound=np.generic)
Labelled = NDArray[np.uint8]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

# Two grids are one where no corner lies further apart than this.
SAME_PLACE_MM = 0.01

# A position within a hair of the middle between two voxels belongs to the further one, always.
HAIR = 1e-6


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
        if not _same_line(source, target, axis):
            weights = axis_weights(source, target, axis, antialias=antialias)
            voxels = _along(voxels, weights, axis)
    return voxels


def _along(voxels: Array, weights: Array, axis: int) -> Array:
    """``weights`` (new, old) times (..., Z, Y, X) along grid axis 0=x, 1=y, 2=z.

    Of a row two or three follow one another and the others are zero, so that as many products
    are enough.
    """
    shape = list(voxels.shape)
    blocks = voxels.reshape(-1, shape[-3], shape[-2] * shape[-1]) if axis == 2 else voxels
    blocks = blocks.reshape(-1, *blocks.shape[-2:])
    count = int((weights > 0).sum(axis=1).max())
    first = np.minimum((weights > 0).argmax(axis=1), weights.shape[1] - count)
    indices = first + np.arange(count)[:, None]  # (count, new)
    shares = np.take_along_axis(weights.T, indices, axis=0)
    across = 1 if axis == 0 else 0
    steps = list(zip(indices, shares if across else shares[..., None], strict=True))
    shape[-1 - axis] = len(weights)
    # Block by block, which the processor's cache holds.
    return np.reshape([sum(b.take(at, across) * w for at, w in steps) for b in blocks], shape)


def _same_line(source: Geometry, target: Geometry, axis: int) -> bool:
    """Whether the two grids have the same voxel centres along ``axis``."""
    return source.size[axis] == target.size[axis] and np.array_equal(
        positions(source, target, axis), np.arange(source.size[axis])
    )


def same_grid(one: Geometry, other: Geometry) -> bool:
    """Whether both have the same voxels: as many along each axis, and all corners in one place."""
    if one.size != other.size:
        return False
    x, y, z = ((0, count - 1) for count in one.size)
    return all(
        float(np.abs(np.subtract(one.position_mm(c), other.position_mm(c))).max()) <= SAME_PLACE_MM
        for c in itertools.product(x, y, z)
    )


def nearest_index(source: Geometry, target: Geometry, axis: int) -> NDArray[np.int_]:
    """For each voxel of ``target`` along ``axis`` the nearest of ``source``, maybe outside it.

    Both grids must share their axes.
    """
    return np.asarray(np.floor(positions(source, target, axis) + 0.5).astype(int))


def nearest_labels(labels: Labelled, source: Geometry, target: Geometry) -> Labelled:
    """Each voxel (Z, Y, X) of ``target`` gets the label of the nearest one of ``source``.

    By position in the patient, so the grids may be oblique to each other. Outside ``source``
    there is background. Only the part of ``target`` about the labels is looked at.
    """
    if same_grid(source, target):
        return labels
    result = np.zeros(target.shape, dtype=np.uint8)
    if not labels.any():
        return result
    turn, shift = _index_map(source, target)
    ends = [(side.start - 1, side.stop) for side in reversed(filled_box(labels))]
    corners = np.array(list(itertools.product(*ends))) @ turn.T + shift
    low = np.clip(np.floor(corners.min(axis=0)), 0, target.size).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, target.size).astype(int)
    if (high <= low).any():
        return result
    turn, shift = _index_map(target, source)
    x, y = (np.arange(low[axis], high[axis]) for axis in (0, 1))
    plane = x[None, :, None] * turn[:, 0] + y[:, None, None] * turn[:, 1] + shift  # (Y, X, 3)
    for z in range(low[2], high[2]):
        at = np.floor(plane + z * turn[:, 2] + 0.5 + HAIR).astype(int)
        inside = ((at >= 0) & (at < source.size)).all(axis=-1)
        hit = at[inside]
        result[z, low[1] : high[1], low[0] : high[0]][inside] = labels[
            hit[:, 2], hit[:, 1], hit[:, 0]
        ]
    return result


def largest_share_labels(labels: NDArray[Voxel], source: Geometry, target: Geometry) -> Labelled:
    """Each voxel (Z, Y, X) of ``target`` gets the class of ``labels`` that fills most of it.

    Per class, so that a boundary lies where half of each class meets, not half a number.
    ``target`` shares the axial axes of ``source``.
    """
    upright = axial(source)
    native = reorient(labels, source, upright)
    shares = [
        resample((native == number).astype(np.float32), upright, target, antialias=True)
        for number in Structure
    ]
    inside = tuple(covered(upright, target, axis) for axis in (2, 1, 0))
    result = np.zeros(shares[0].shape, dtype=np.uint8)
    result[inside] = np.argmax(shares, axis=0).astype(np.uint8)[inside]
    return result


def filled_box(voxels: NDArray[np.uint8] | NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box (z, y, x) that holds what of (Z, Y, X) is not zero; else empty."""
    sides: list[slice] = []
    part = voxels
    for axis in range(3):  # of what is left, so that nearly all is gone through once
        planes = np.flatnonzero(part.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (int(planes[0]), int(planes[-1]) + 1) if planes.size else (0, 0)
        sides.append(slice(first, last))
        part = part[(slice(None),) * axis + (sides[-1],)]
    return sides[0], sides[1], sides[2]


def _index_map(
    source: Geometry, target: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3, 3) and (3,): index in ``target`` = matrix @ index in ``source`` + offset; (x, y, z)."""
    into = (target.axes / np.array(target.spacing_mm)).T  # millimetres to indices
    offset = np.array(source.origin_mm) - np.array(target.origin_mm)
    return into @ (source.axes * np.array(source.spacing_mm)), into @ offset
