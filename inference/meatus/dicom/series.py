"""A stack of images as a scan, and label maps back on its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus.dicom.pixels import read_planes
from meatus.dicom.stacks import Placed, Stack, place
from meatus.errors import ScanError
from meatus.geometry import Array, Labelled
from meatus.io.checks import check_extent, finite
from meatus.volumes import Labels, Scan


def read_series(stack: Stack, scratch: Path | None = None) -> Scan:
    """The volume (Z, Y, X) of a stack, as float32 and rescaled; slices along row x column.

    What was repaired is told in the scan's ``warnings``. ``scratch`` is where files of an archive
    are unpacked, one at a time. Raises ``ScanError`` where the images make no even volume, or a
    file cannot be decoded.
    """
    if stack.cut:
        raise ScanError(
            f"{stack.cut[0].entry}: cut short, it ends before its pixels do. Copy or export the "
            "series again."
        )
    try:
        placed = place(stack)
        check_extent(placed.geometry)
    except ScanError as error:
        raise ScanError(f"{_home(stack)}: {error}") from error
    voxels = _voxels(placed, scratch, inverted=stack.traits.inverted)
    voxels, replaced = finite(voxels)
    turned: tuple[str, ...] = ()
    if stack.traits.inverted:
        voxels -= voxels.min()
        turned = ("grey values run from white to black (MONOCHROME1): turned round",)
    return Scan(voxels, placed.geometry, None, (*placed.warnings, *turned, *replaced))


def _home(stack: Stack) -> Path:
    """The folder or archive that the stack's files lie in."""
    entry = stack.planes[0].entry
    return entry.path if entry.member else entry.path.parent


def _voxels(placed: Placed, scratch: Path | None, *, inverted: bool) -> Array:
    voxels = np.zeros(placed.geometry.shape, dtype=np.float32)
    wanted: dict[object, list[int]] = {}
    for n, plane in enumerate(placed.planes):
        wanted.setdefault(plane.entry, []).append(n)
    for members in wanted.values():
        planes = [placed.planes[n] for n in members]
        stored = read_planes(planes[0].entry, planes, scratch, inverted=inverted)
        for n, pixels in zip(members, stored, strict=True):
            voxels[placed.slices[n]] = _pushed_back(pixels, placed.shifts[n])
    for slice_ in placed.missing:
        below = max(n for n in placed.slices if n < slice_)
        above = min(n for n in placed.slices if n > slice_)
        share = np.float32((slice_ - below) / (above - below))
        voxels[slice_] = (1 - share) * voxels[below] + share * voxels[above]
    return voxels


def _pushed_back(pixels: Array, shift: tuple[float, float]) -> Array:
    """``pixels`` (Y, X), which lie ``shift`` (x, y) pixels off, on the grid's own places."""
    if shift == (0.0, 0.0):
        return pixels
    moved = scipy.ndimage.shift(pixels, (shift[1], shift[0]), order=1, mode="nearest")
    return np.asarray(moved, dtype=np.float32)


def on_planes(labels: Labels, placed: Placed) -> Labelled:
    """The labels of each of the stack's images (n, Y, X), in the order of ``placed``."""
    found: NDArray[np.uint8] = labels.voxels[list(placed.slices)].astype(np.uint8, copy=True)
    for n, (x, y) in enumerate(placed.shifts):
        if (x, y) != (0.0, 0.0):
            found[n] = scipy.ndimage.shift(found[n], (-y, -x), order=0, mode="constant")
    return found
