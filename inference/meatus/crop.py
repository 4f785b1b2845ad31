"""Which part of a scan the network sees, and on which in-plane grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from meatus.errors import ScanError
from meatus.geometry import Array, Geometry
from meatus.spec import PhysicalCrop

# The published rule's numbers: images up to this many voxels stay whole, images with a side
# ratio outside the limits are cut along their longer axis only.
WHOLE_UP_TO = 350
RATIO_LIMITS = (0.7, 1.3)

# Tissue is what exceeds this share of the bright end (fluid and fat). Air noise stays at
# 0.02 to 0.04 of it, scalp fat, which bounds the head, at 0.3 or more.
TISSUE_SHARE = 0.1


Field = Callable[[int, int], tuple[slice, slice]]  # from rows and columns to what is seen of them


def reference_crop(rows: int, columns: int) -> tuple[slice, slice]:
    """The published crop of an image of ``rows`` x ``columns`` voxels (y, x), at inference."""
    whole = whole_image(rows, columns)
    if max(rows, columns) <= WHOLE_UP_TO:
        return whole
    middle_y, middle_x = middle_crop(rows, columns)
    low, high = RATIO_LIMITS
    if low <= rows / columns <= high:
        return middle_y, middle_x
    return (middle_y, whole[1]) if rows > columns else (whole[0], middle_x)


def middle_crop(rows: int, columns: int) -> tuple[slice, slice]:
    """The middle 10/16 of both axes: what training sees of a scan of a whole head.

    However few voxels it has: a scan of 256 is no smaller a head than one of 512. Start and end
    are truncated on their own, so that sizes vary by one voxel.
    """
    return slice(3 * rows // 16, 13 * rows // 16), slice(3 * columns // 16, 13 * columns // 16)


def whole_image(rows: int, columns: int) -> tuple[slice, slice]:
    """All of it: what training sees of a scan of a part of a head."""
    return slice(0, rows), slice(0, columns)


def physical_grid(voxels: Array, geometry: Geometry, crop: PhysicalCrop) -> Geometry:
    """The weights' grid about the centre of the head in ``voxels`` (Z, Y, X), axial."""
    step = (crop.spacing_mm / geometry.spacing_mm[0], crop.spacing_mm / geometry.spacing_mm[1])
    centre = head_centre(voxels, geometry)
    start_x, start_y = (
        middle - (count - 1) / 2 * width
        for middle, count, width in zip(centre, crop.size, step, strict=True)
    )
    slices, step_z = geometry.size[2], 1.0
    if geometry.spacing_mm[2] < crop.thin_slice_mm:
        step_z = crop.slice_mm / geometry.spacing_mm[2]
        slices = max(1, int(np.ceil(slices / step_z)))
    # The coarser slices are centred on the stack.
    start_z = (geometry.size[2] - 1 - (slices - 1) * step_z) / 2
    return geometry.regrid((start_x, start_y, start_z), (*step, step_z), (*crop.size, slices))


def head_centre(voxels: Array, geometry: Geometry) -> tuple[float, float]:
    """The in-plane index (x, y) midway between the outer edges of the head.

    The edges are where the tissue's cumulated profile leaves its outer 1 %, which a
    fiducial frame, wrap or noise outside the head hardly moves.

    Raises ``ScanError`` where the scan shows no tissue.
    """
    stride_x, stride_y = (max(1, round(2.0 / width)) for width in geometry.spacing_mm[:2])
    stride_z = max(1, round(4.0 / geometry.spacing_mm[2]))
    small = voxels[::stride_z, ::stride_y, ::stride_x]
    low, bright = (float(value) for value in np.percentile(small, [1, 99]))
    tissue = small > low + TISSUE_SHARE * (bright - low)
    if not tissue.any():
        raise ScanError(
            "the scan has one grey value nearly everywhere, so no head is to be seen. "
            "Export the hrT2 scan anew."
        )
    x = _middle(tissue.sum(axis=(0, 1)))
    y = _middle(tissue.sum(axis=(0, 2)))
    return x * stride_x, y * stride_y


def _middle(profile: NDArray[np.int_]) -> float:
    share = np.cumsum(profile) / profile.sum()
    return float(np.searchsorted(share, 0.01) + np.searchsorted(share, 0.99)) / 2
