"""From probabilities on the weights' grid to labels on the scan's own grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus.geometry import (
    Geometry,
    axial,
    covered,
    filled_box,
    nearest_index,
    positions,
    reorient,
    resample,
)
from meatus.structures import Structure
from meatus.volumes import Labels, Prepared, Probabilities, Scan

# Slices interpolated at a time: probabilities of a 512 x 512 x 256 scan would take 1 GiB.
SLAB = 8


def restore(probabilities: Probabilities, scan: Scan) -> Labels:
    """The most probable class at every voxel of ``scan``; background where the network saw none.

    Probabilities, not labels, are interpolated to the native grid, slab by slab.
    """
    target = axial(scan.geometry)
    result = np.full(target.shape, Structure.BACKGROUND, dtype=np.uint8)
    for found in found_apart(probabilities):
        x, y, z = (_overlap(probabilities.field, found, target, axis) for axis in range(3))
        for slab, values in _slabs(probabilities, target, (x, y, z)):
            result[slab, y, x] = values.argmax(axis=0)
    return _native(result, scan)


def class_maps(probabilities: Probabilities, geometry: Geometry) -> Iterator[NDArray[np.float32]]:
    """The probability of each class at every voxel of a scan's own grid, (Z, Y, X), one by one.

    The most probable class is what ``restore`` gives; what the network did not see is background.
    Values have the precision of float16, which compresses; they sum to one but for that.
    """
    target = axial(geometry)
    x, y, z = (covered(probabilities.field, target, axis) for axis in range(3))
    for structure in Structure:
        one = replace(probabilities, voxels=probabilities.voxels[structure : structure + 1])
        outside = float(structure == Structure.BACKGROUND)
        result = np.full(target.shape, outside, dtype=np.float32)
        for slab, values in _slabs(one, target, (x, y, z)):
            result[slab, y, x] = values[0].astype(np.float16)
        yield reorient(result, target, geometry)


def _slabs(
    probabilities: Probabilities, target: Geometry, box: tuple[slice, slice, slice]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Slices of ``target`` and the probabilities (C, Z, Y, X) there, within a ``box`` (x, y, z)."""
    x, y, z = box
    for first in range(z.start, z.stop, SLAB):
        slab = slice(first, min(first + SLAB, z.stop))
        wanted = target.crop(
            (x.start, y.start, slab.start),
            (x.stop - x.start, y.stop - y.start, slab.stop - slab.start),
        )
        values, grid = near(probabilities, wanted)
        yield slab, resample(values, grid, wanted)


def restore_labels(labels: NDArray[np.uint8], prepared: Prepared, scan: Scan) -> Labels:
    """Labels (Z, Y, X) on the prepared grid to ``scan``'s own, each voxel taking the nearest.

    For the published fusion, which votes on labels.
    """
    target = axial(scan.geometry)
    seen = tuple(covered(prepared.field, target, axis) for axis in (2, 1, 0))
    nearest = [
        np.clip(
            nearest_index(prepared.geometry, prepared.field, axis),
            0,
            prepared.geometry.size[axis] - 1,
        )
        for axis in (2, 1, 0)
    ]
    result = np.full(target.shape, Structure.BACKGROUND, dtype=np.uint8)
    result[seen] = labels[np.ix_(*nearest)]
    return _native(result, scan)


def _native(axial_labels: NDArray[np.uint8], scan: Scan) -> Labels:
    turned = reorient(axial_labels, axial(scan.geometry), scan.geometry)
    return Labels(np.ascontiguousarray(turned), scan.geometry, scan.header)


def found_apart(probabilities: Probabilities) -> Iterator[Geometry]:
    """Boxes of the network's grid outside of which no structure can win.

    The most probable of four classes has at least 1/4, and between grid points no class is
    more probable than at the points around. One for each stretch of columns, as ears lie far apart.
    """
    possible, source = _possible(probabilities), probabilities.geometry
    stretches, _ = scipy.ndimage.label(scipy.ndimage.binary_dilation(possible.any(axis=(0, 1))))
    for (columns,) in scipy.ndimage.find_objects(stretches):
        size = (columns.stop - columns.start, *source.size[1:])
        yield _box(possible[:, :, columns], source.crop((columns.start, 0, 0), size))


def _possible(probabilities: Probabilities) -> NDArray[np.bool_]:
    return np.asarray(np.any(probabilities.voxels[1:] >= 1 / len(Structure), axis=0))


def _box(possible: NDArray[np.bool_], source: Geometry) -> Geometry:
    """That about ``possible`` (Z, Y, X) on ``source``, and a voxel more."""
    start, size = [], []
    for side, most in zip(reversed(filled_box(possible)), source.size, strict=True):
        start.append(max(0, side.start - 1))
        size.append(min(most, side.stop + 1) - start[-1])
    return source.crop((start[0], start[1], start[2]), (size[0], size[1], size[2]))


def _overlap(seen: Geometry, found: Geometry, target: Geometry, axis: int) -> slice:
    one, other = covered(seen, target, axis), covered(found, target, axis)
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def near(probabilities: Probabilities, wanted: Geometry) -> tuple[NDArray[np.float32], Geometry]:
    """Those of ``probabilities`` between whose grid points the voxels of ``wanted`` lie."""
    source = probabilities.geometry
    x, y, z = (_between(source, wanted, axis) for axis in range(3))
    size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    grid = source.crop((x.start, y.start, z.start), size)
    return np.ascontiguousarray(probabilities.voxels[:, z, y, x]), grid


def _between(source: Geometry, wanted: Geometry, axis: int) -> slice:
    at = positions(source, wanted, axis)
    low = int(np.clip(np.floor(at[0]), 0, source.size[axis] - 1))
    return slice(low, min(source.size[axis], max(low, int(np.ceil(at[-1]))) + 1))
