"""Voxels as the page shows and paints them: axes that run to right, anterior and superior.

The page's bytes and the file's voxels are the same numbers in another order, so that what was not
painted comes back as it was.
"""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from meatus.errors import UsageError
from meatus.geometry import Geometry, axial, reorient
from meatus.structures import Structure
from meatus.volumes import Labels, Scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def shown_grid(source: Geometry) -> Geometry:
    """The voxels of ``source``, numbered from the patient's left, back and bottom."""
    grid = axial(source)
    x, y, _ = grid.size
    axes = grid.axes * np.array([-1.0, -1.0, 1.0])
    return Geometry(
        size=grid.size,
        spacing_mm=grid.spacing_mm,
        origin_mm=grid.position_mm((x - 1, y - 1, 0)),
        direction=tuple(axes.ravel().tolist()),
    )


def scan_bytes(scan: Scan) -> bytes:
    """The scan as a NIfTI file, its grey values as int16 with a scale."""
    grid = shown_grid(scan.geometry)
    voxels = reorient(scan.voxels, scan.geometry, grid)
    low, high = float(voxels.min()), float(voxels.max())
    steps = np.iinfo(np.int16).max
    slope = (high - low) / steps or 1.0
    stored = np.rint((voxels - low) / slope).astype(np.int16)
    image = nib.Nifti1Image(stored.transpose(2, 1, 0), _affine(grid))
    image.header.set_slope_inter(slope, low)
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    return content


def _affine(grid: Geometry) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ grid.axes * np.array(grid.spacing_mm)
    affine[:3, 3] = LPS_TO_RAS @ np.array(grid.origin_mm)
    return affine


def label_bytes(labels: NDArray[np.uint8], geometry: Geometry) -> bytes:
    """Labels (Z, Y, X) of ``geometry`` as the page paints them, a byte a voxel, x fastest."""
    return np.ascontiguousarray(reorient(labels, geometry, shown_grid(geometry))).tobytes()


def painted_labels(content: bytes, like: Labels) -> Labels:
    """The label map that was painted, on the grid of ``like``.

    Raises ``UsageError`` where the bytes are not one of that grid.
    """
    grid = shown_grid(like.geometry)
    if len(content) != math.prod(grid.size):
        raise UsageError(
            f"{len(content)} voxels were sent; expected {math.prod(grid.size)}. Open the case "
            "again."
        )
    voxels = np.frombuffer(content, dtype=np.uint8).reshape(grid.shape)
    if voxels.size and int(voxels.max()) >= len(Structure):
        raise UsageError(
            f"a voxel has the number {voxels.max()}; expected 0 to {len(Structure) - 1}. Open the "
            "case again."
        )
    turned = reorient(voxels, grid, like.geometry)
    return Labels(np.ascontiguousarray(turned), like.geometry, like.header)
