"""From probabilities on the weights' grid to labels on the scan's own grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Geometry, axial, covered, positions, reorient, resample
from meatus.structures import Structure
from meatus.volumes import Labels, Prepared, Probabilities, Scan

# Slices interpolated at a time: probabilities of a 512 x 512 x 256 scan would take 1 GiB.
SLAB = 8


def decide(probabilities: Probabilities, scan: Scan) -> Labels:
    """The most probable class at every voxel of ``scan``; background where the network saw none.

    Probabilities, not labels, are interpolated to the native grid, slab by slab.
    """
    target = axial(scan.geometry)
    result = np.full(target.shape, Structure.BACKGROUND, dtype=np.uint8)
    found = _where_found(probabilities)
    x, y, z = (_overlap(probabilities.field, found, target, axis) for axis in range(3))
    for first in range(z.start, z.stop, SLAB):
        slab = slice(first, min(first + SLAB, z.stop))
        field = target.crop(
            (x.start, y.start, slab.start),
            (x.stop - x.start, y.stop - y.start, slab.stop - slab.start),
        )
        near, grid = _near(probabilities, field)
        result[slab, y, x] = resample(near, grid, field).argmax(axis=0)
    return _native(result, scan)


def confidence(probabilities: Probabilities) -> float | None:
    """The mean probability of the winning structure where one wins; None where none does."""
    found = _where_found(probabilities)
    near, _ = _near(probabilities, found) if all(found.size) else (probabilities.voxels, None)
    winning = near.argmax(axis=0) != Structure.BACKGROUND
    return float(near.max(axis=0)[winning].mean()) if winning.any() else None


def place(labels: NDArray[np.uint8], prepared: Prepared, scan: Scan) -> Labels:
    """Labels (Z, Y, X) on the prepared grid to ``scan``'s own, each voxel taking the nearest.

    For the published fusion, which votes on labels.
    """
    target = axial(scan.geometry)
    field = tuple(covered(prepared.field, target, axis) for axis in (2, 1, 0))
    nearest = [_nearest(prepared, axis) for axis in (2, 1, 0)]
    result = np.full(target.shape, Structure.BACKGROUND, dtype=np.uint8)
    result[field] = labels[np.ix_(*nearest)]
    return _native(result, scan)


def _nearest(prepared: Prepared, axis: int) -> NDArray[np.int_]:
    """For each voxel of the field along ``axis`` the nearest one of the prepared grid."""
    at = np.floor(positions(prepared.geometry, prepared.field, axis) + 0.5).astype(int)
    return np.asarray(np.clip(at, 0, prepared.geometry.size[axis] - 1))


def _native(axial_labels: NDArray[np.uint8], scan: Scan) -> Labels:
    turned = reorient(axial_labels, axial(scan.geometry), scan.geometry)
    return Labels(np.ascontiguousarray(turned), scan.geometry, scan.header)


def _where_found(probabilities: Probabilities) -> Geometry:
    """The part of the network's grid outside of which no structure can win.

    The most probable of four classes has at least 1/4, and between grid points no class is
    more probable than at the points around.
    """
    source = probabilities.geometry
    possible = np.any(probabilities.voxels[1:] >= 1 / len(Structure), axis=0)
    start, size = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        others = tuple(other for other in range(3) if other != 2 - axis)
        marked = np.flatnonzero(np.any(possible, axis=others))
        if marked.size:
            start[axis] = max(0, int(marked[0]) - 1)
            size[axis] = min(source.size[axis], int(marked[-1]) + 2) - start[axis]
    return source.crop((start[0], start[1], start[2]), (size[0], size[1], size[2]))


def _overlap(field: Geometry, found: Geometry, target: Geometry, axis: int) -> slice:
    one, other = covered(field, target, axis), covered(found, target, axis)
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _near(probabilities: Probabilities, field: Geometry) -> tuple[NDArray[np.float32], Geometry]:
    """The part of ``probabilities`` between whose grid points ``field``'s voxels lie."""
    source = probabilities.geometry
    x, y, z = (_between(source, field, axis) for axis in range(3))
    size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    part = source.crop((x.start, y.start, z.start), size)
    return np.ascontiguousarray(probabilities.voxels[:, z, y, x]), part


def _between(source: Geometry, field: Geometry, axis: int) -> slice:
    at = positions(source, field, axis)
    low = int(np.clip(np.floor(at[0]), 0, source.size[axis] - 1))
    return slice(low, min(source.size[axis], max(low, int(np.ceil(at[-1]))) + 1))
