"""Distances between the surfaces of two masks, and what is computed from them.

A surface is the set of a mask's voxel centres with a face neighbour outside the mask; outside
the volume is outside the mask, as for MedPy 0.5.2 (``connectivity=1``). Distances are exact: only
planes far from every voxel of a mask are left out, and the nearest neighbours come from a k-d
tree, so that far-off stray voxels cost no distance map of the whole volume. Only spacings enter: a
rotated grid has the same distances.

Masks are (Z, Y, X); ``spacing_mm`` is (x, y, z), as a ``Geometry`` has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Points = NDArray[np.float64]  # (n, 3): x, y, z along the grid's axes, in millimetres
Spacing = tuple[float, float, float]

# What crossMoDA's evaluation gives an empty prediction as surface distance; farther than any
# two voxels of a head scan.
EMPTY_MM = 350.0

TOLERANCE_MM = 1.0  # of the normalised surface Dice
ROUNDING_MM = 1e-9  # a distance that equals the tolerance on paper is within it


@dataclass(frozen=True)
class Distances:
    """From each surface voxel of a map to the nearest one of the other map; none is empty."""

    to_reference: Floats  # (n,), of the prediction's surface
    to_prediction: Floats  # (m,), of the reference's surface

    @property
    def pooled(self) -> Floats:
        """(n + m,)"""
        return np.concatenate([self.to_reference, self.to_prediction])


def bounding_box(mask: NDArray[np.generic]) -> tuple[slice, slice, slice]:
    """The smallest box (z, y, x) with all of ``mask`` (Z, Y, X); of no extent where it is empty."""
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    if not planes.size:
        return (slice(0, 0),) * 3
    z = slice(int(planes[0]), int(planes[-1]) + 1)
    shadow = np.asarray(mask[z].any(axis=0))
    (y,), (x,) = (ndimage.find_objects(shadow.any(axis=axis).view(np.uint8))[0] for axis in (1, 0))
    return z, y, x


def near_planes(mask: Mask) -> tuple[Indices, Indices, Indices]:
    """Indices along z, y and x of the planes that hold a voxel of ``mask``, or lie beside one.

    Leaving the others out keeps every voxel's 26 neighbours, and two voxels that were no
    neighbours become none: where planes are missing, the last ones before and after are empty.
    """
    in_z = mask.any(axis=(1, 2))
    shadow = np.asarray(mask[in_z].any(axis=0))
    used = (in_z, shadow.any(axis=1), shadow.any(axis=0))
    along_z, along_y, along_x = (np.flatnonzero(ndimage.binary_dilation(one)) for one in used)
    return along_z, along_y, along_x


def surface(mask: Mask) -> Mask:
    """The voxels of ``mask`` with a face neighbour outside it or outside the volume."""
    inner = np.zeros_like(mask)
    core = (slice(1, -1),) * 3
    inner[core] = mask[core]
    for axis in range(3):
        for shifted in (slice(0, -2), slice(2, None)):
            inner[core] &= mask[tuple(shifted if a == axis else slice(1, -1) for a in range(3))]
    return np.asarray(mask & ~inner)


def surface_points(mask: Mask, spacing_mm: Spacing) -> Points:
    """The surface's voxel centres, from that of the volume's first voxel."""
    planes = near_planes(mask)
    at = np.nonzero(surface(mask[np.ix_(*planes)]))
    z, y, x = (indices[places] for indices, places in zip(planes, at, strict=True))
    return np.asarray(np.stack([x, y, z], axis=1) * np.array(spacing_mm))


def boundary_points(one: Mask, other: Mask, spacing_mm: Spacing) -> Points:
    """The middles of the voxel faces between two masks that do not overlap."""
    planes = near_planes(one | other)
    one, other = one[np.ix_(*planes)], other[np.ix_(*planes)]
    found = []
    for axis in range(3):
        low, high = (
            tuple(side if a == axis else slice(None) for a in range(3))
            for side in (slice(0, -1), slice(1, None))
        )
        at = np.nonzero((one[low] & other[high]) | (other[low] & one[high]))
        lower = [indices[places] for indices, places in zip(planes, at, strict=True)]
        found.append(np.stack(lower, axis=1) + 0.5 * np.eye(3)[axis])
    return np.asarray(np.concatenate(found)[:, ::-1] * np.array(spacing_mm))


def distances(prediction: Points, reference: Points) -> Distances | None:
    """From each point of a set to the nearest one of the other; None where a set is empty."""
    if not len(prediction) or not len(reference):
        return None
    return Distances(
        to_reference=_nearest(prediction, reference), to_prediction=_nearest(reference, prediction)
    )


def surface_distances(prediction: Mask, reference: Mask, spacing_mm: Spacing) -> Distances | None:
    """Between the two masks' surfaces; None where a mask is empty."""
    return distances(surface_points(prediction, spacing_mm), surface_points(reference, spacing_mm))


def mean_mm(found: Distances) -> float:
    """The mean of both directions' distances together: MedPy 0.5.2's ``assd``.

    Average symmetric surface distance, as in Heimann et al., IEEE TMI 28 (2009) 1251.
    """
    return float(found.pooled.mean())


def mean_of_means_mm(found: Distances) -> float:
    """The mean of the two directions' means: ``assd`` of MedPy up to 0.4.0.

    That was MedPy's definition while the challenges of 2021 to 2023 ran, so that published scores
    are of this kind; 0.5 changed it (issues 108 and 131 of loli/medpy).
    """
    return float((found.to_reference.mean() + found.to_prediction.mean()) / 2)


def percentile_95_mm(found: Distances) -> float:
    """The 95th percentile of both directions' distances together: MedPy's ``hd95``.

    Others take the larger of the two directions' percentiles.
    """
    return float(np.percentile(found.pooled, 95))


def share_within(found: Distances, tolerance_mm: float = TOLERANCE_MM) -> float:
    """Normalised surface Dice: the share of both surfaces no further than the tolerance away.

    Nikolov et al., J Med Internet Res 23 (2021) e26151, on surface voxels as in Maier-Hein et al.,
    Nat Methods 21 (2024) 195, instead of on areas.
    """
    return float(np.mean(found.pooled <= tolerance_mm + ROUNDING_MM))


def _nearest(points: Points, others: Points) -> Floats:
    found: Floats = spatial.KDTree(others).query(points)[0]
    return found
