"""From probabilities on the weights' grid to labels on the scan's own grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Geometry, axial, covered, positions, reorient, resample
from inference.structures import Structure
from inference.volumes import Labels, Prepared, Probabilities, Scan

# Slices interpolated at a time: probabilities of a 512 x 512 x 256 scan would take 1 GiB.
SLAB = 8


def decide(probabilities: Probabilities, scan: Scan) -> Labels:
    """The most probable class at every voxel of ``scan``; background where the network saw none.

    Probabilities, not labels, are interpolated to the native grid, slab by slab.
    """
    target = axial(scan.geometry)
    x, y, z = (covered(probabilities.field, target, axis) for axis in range(3))
    result = np.full(target.shape, Structure.BACKGROUND, dtype=np.uint8)
    for first in range(z.start, z.stop, SLAB):
        slab = slice(first, min(first + SLAB, z.stop))
        field = target.crop(
            (x.start, y.start, slab.start),
            (x.stop - x.start, y.stop - y.start, slab.stop - slab.start),
        )
        near, grid = _near(probabilities, field)
        result[slab, y, x] = resample(near, grid, field).argmax(axis=0)
    return _native(result, scan)


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


def _near(probabilities: Probabilities, field: Geometry) -> tuple[NDArray[np.float32], Geometry]:
    """The slices of ``probabilities`` between which ``field``'s slices lie."""
    source = probabilities.geometry
    at = positions(source, field, 2)
    low = int(np.clip(np.floor(at[0]), 0, source.size[2] - 1))
    high = min(source.size[2], int(np.ceil(at[-1])) + 1)
    part = source.crop((0, 0, low), (*source.size[:2], high - low))
    return probabilities.voxels[:, low:high], part
