"""Where the head lies in a scan, and where in it an ear's meatus, and a tumour from it, can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus import anatomy
from meatus.crop import TISSUE_SHARE
from meatus.geometry import axial, reorient
from meatus.volumes import Scan

# Of the widest plane across an axis: the outermost plane of a head that ends within the scan cuts
# off a cap with less, one that the scan cuts through has more.
END_SHARE = 0.2
IN_PLANE_MM, BETWEEN_MM = 2.0, 4.0  # steps at which it is looked for

Points = NDArray[np.float64]  # (N, 3): x, y, z in the patient, LPS+
Limits = tuple[float, float]


@dataclass(frozen=True)
class Reach:
    """Between which places in the patient (mm, LPS+) a tumour of an ear can lie."""

    x: Limits = (-np.inf, np.inf)
    y: Limits = (-np.inf, np.inf)
    z: Limits = (-np.inf, np.inf)
    middle_x: float | None = None  # of the head; None where the scan does not show both its sides

    def holds(self, places: Points) -> NDArray[np.bool_]:
        """(N,): which of ``places`` (N, 3) lie within."""
        low, high = np.transpose((self.x, self.y, self.z))
        return np.asarray(((places >= low) & (places <= high)).all(axis=1))


ANYWHERE = Reach()


def reach_of(scan: Scan) -> Reach:
    """Where in ``scan`` a tumour of an ear can lie, by the outline of the head.

    A direction in which the scan cuts through the head, or shows something that is no head by its
    size, has no limits.
    """
    grid = axial(scan.geometry)
    whole = reorient(scan.voxels, scan.geometry, grid)
    steps = [
        max(1, round(wanted / width))
        for wanted, width in zip(
            (BETWEEN_MM, IN_PLANE_MM, IN_PLANE_MM), grid.spacing_mm[::-1], strict=True
        )
    ]
    small = whole[:: steps[0], :: steps[1], :: steps[2]]
    low, bright = (float(value) for value in np.percentile(small, [1, 99]))
    tissue = small > low + TISSUE_SHARE * (bright - low)
    middle = [(size - 1) / 2 for size in grid.size]

    def places(axis: int) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
        """Along patient axis 0, 1, 2: where planes lie, and how much tissue each has."""
        at = np.array(middle)[None].repeat(tissue.shape[2 - axis], axis=0)
        at[:, axis] = np.arange(tissue.shape[2 - axis]) * steps[2 - axis]
        moved = np.array(grid.origin_mm) + (at * grid.spacing_mm) @ grid.axes.T
        return moved[:, axis], tissue.sum(axis=tuple(n for n in range(3) if n != 2 - axis))

    x, y, z = (places(axis) for axis in range(3))
    sides = _both_ends(*x, anatomy.HEAD_WIDTH_MM)
    front = _both_ends(*y, anatomy.HEAD_LENGTH_MM)
    top = _upper_end(*z)
    return Reach(
        x=ANYWHERE.x if sides is None else _about(sides, anatomy.TUMOUR_FROM_MIDLINE_MM),
        y=ANYWHERE.y if front is None else _about(front, anatomy.TUMOUR_BEHIND_MIDDLE_MM),
        z=ANYWHERE.z if top is None else (-np.inf, top - anatomy.TUMOUR_BELOW_VERTEX_MM),
        middle_x=sides,
    )


def _about(middle: float, limits: Limits) -> Limits:
    return middle + limits[0], middle + limits[1]


def _both_ends(
    at: NDArray[np.float64], profile: NDArray[np.int_], usual_mm: Limits
) -> float | None:
    """Midway between both ends of the head; None unless both are seen, as far apart as usual."""
    most = profile.max(initial=0)
    if most == 0 or max(profile[0], profile[-1]) > END_SHARE * most:
        return None
    share = np.cumsum(profile) / profile.sum()
    first, last = (float(at[np.searchsorted(share, part)]) for part in (0.01, 0.99))
    return (first + last) / 2 if usual_mm[0] <= last - first <= usual_mm[1] else None


def _upper_end(at: NDArray[np.float64], profile: NDArray[np.int_]) -> float | None:
    """The head's highest place; None where the scan ends below it."""
    most = profile.max(initial=0)
    if most == 0 or profile[-1] > END_SHARE * most:
        return None
    return float(at[np.flatnonzero(profile > END_SHARE / 10 * most)[-1]])
