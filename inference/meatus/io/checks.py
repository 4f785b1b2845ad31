"""What every scan must pass, whatever it was read from: enough voxels, and numbers in them.

The messages do not name the file; whoever reads it puts its name before them.
"""

from __future__ import annotations

import math

import numpy as np
import scipy

from meatus.components import Mask
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
    """The voxels with those that are no numbers replaced by the volume's minimum.

    Stray ones are; and a background without numbers, as SPM and FSL leave it outside their masks.
    """
    low, high = float(voxels.min()), float(voxels.max())  # both NaN where any voxel is
    if math.isfinite(low) and math.isfinite(high):
        if low == high != 0:
            raise ScanError(f"every voxel is {low:g}; expected a scan. Export the scan again.")
        return voxels, ()
    bad = ~np.isfinite(voxels)
    lowest = float(voxels.min(where=~bad, initial=np.inf))
    told: tuple[str, ...] = ()
    if np.count_nonzero(bad) > STRAY * voxels.size and math.isfinite(lowest):
        outside = _reaching_the_border(np.isnan(voxels))
        if outside.any():
            told = (f"{np.count_nonzero(outside)} voxels up to the border hold no number: empty",)
        voxels, bad = np.where(outside, lowest, voxels), bad & ~outside
    stray = int(np.count_nonzero(bad))
    if stray > STRAY * voxels.size:
        raise ScanError(
            f"{stray:,} of {voxels.size:,} voxels are no finite numbers; expected at most "
            f"{STRAY:.1%}. Export the scan again."
        )
    kept, _ = finite(np.where(bad, lowest, voxels))
    if stray:
        told += (f"{stray} voxels that are no finite numbers: the scan's minimum is used",)
    return kept, told


def _reaching_the_border(mask: Mask) -> Mask:
    """Those parts of ``mask`` that reach an outermost plane, as a background without a number."""
    numbers, count = scipy.ndimage.label(mask)
    faces = [numbers.take([0, -1], axis=axis).ravel() for axis in range(3)]
    reached = np.zeros(count + 1, dtype=np.bool_)
    reached[np.concatenate(faces)] = True
    reached[0] = False
    return np.asarray(reached[numbers])
