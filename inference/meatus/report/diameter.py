"""The tumour's diameter, as radiologists report it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from meatus.components import components
from meatus.geometry import Geometry
from meatus.structures import Structure


def extra_meatal_diameter_mm(voxels: NDArray[np.uint8], grid: Geometry) -> float:
    """The largest extent of the extra-meatal part in a slice of ``voxels`` (Z, Y, X), axial.

    Kanzaki et al., Otol Neurotol 2003: tumours are reported by the largest extra-meatal
    diameter on axial images. Taken from voxel edge to voxel edge. Separate tumours are not
    joined.
    """
    numbers, sizes = components(voxels == Structure.EXTRA_MEATAL)
    boxes = ndimage.find_objects(numbers)
    return max(
        (
            _extent_mm(plane, grid)
            for number in range(1, sizes.size)
            for plane in numbers[boxes[number - 1]] == number
            if plane.any()
        ),
        default=0.0,
    )


def _extent_mm(plane: NDArray[np.bool_], grid: Geometry) -> float:
    """The largest distance between two voxel corners of ``plane`` (Y, X), which is not empty.

    The two lie at the ends of their rows, so that only these are compared.
    """
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - plane[rows, ::-1].argmax(axis=1)
    corners = [(x, y) for ends in (first, last) for y in (rows, rows + 1) for x in (ends,)]
    points_mm = np.concatenate([np.stack(pair, axis=1) for pair in corners]) * grid.spacing_mm[:2]
    return float(spatial.distance.pdist(points_mm).max())
