"""What every scan must pass, whatever it was read from: enough voxels, and numbers in them.

The messages do not name the file; whoever reads it puts its name before them.
"""

from __future__ import annotations

import math

import numpy as np

from meatus.errors import ScanError
from meatus.geometry import Array, Geometry

FEWEST_SLICES = 3
FEWEST_PIXELS = 16  # along each in-plane axis

# Up to this share of voxels that are no numbers, a reconstruction's stray ones, is replaced.
STRAY = 1e-3


def check_extent(geometry: Geometry) -> None:
    """Raise ``ScanError`` where a grid is no whole volume."""
    x, y, z = geometry.size
    if sorted((x, y, z))[1] < FEWEST_PIXELS or min(x, y, z) < FEWEST_SLICES:
        raise ScanError(
            f"{x} x {y} x {z} voxels; expected at least {FEWEST_SLICES} slices of "
            f"{FEWEST_PIXELS} x {FEWEST_PIXELS}. Pass the whole hrT2 volume."
        )


def finite(voxels: Array) -> tuple[Array, tuple[str, ...]]:
    """The voxels with stray ones that are no numbers replaced by the volume's minimum."""
    low, high = float(voxels.min()), float(voxels.max())  # both NaN where any voxel is
    if math.isfinite(low) and math.isfinite(high):
        if low == high != 0:
            raise ScanError(f"every voxel is {low:g}; expected a scan. Export the scan again.")
        return voxels, ()
    good = np.isfinite(voxels)
    bad = voxels.size - int(np.count_nonzero(good))
    if bad > STRAY * voxels.size:
        raise ScanError(
            f"{bad:,} of {voxels.size:,} voxels are no finite numbers; expected at most "
            f"{STRAY:.1%}. Export the scan again."
        )
    kept, _ = finite(np.where(good, voxels, voxels[good].min()))
    return kept, (f"{bad} voxels that are no finite numbers: the scan's minimum is used",)
