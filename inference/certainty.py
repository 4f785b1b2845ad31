"""How much of the tumour that was found its own probabilities bear out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Geometry, axial, positions, reorient
from inference.structures import TUMOUR
from inference.volumes import Labels, Probabilities

# Millions of voxels that are nearly certainly no tumour would add up to one.
LEAST_P = 0.05


def expected_dice(probabilities: Probabilities, labels: Labels) -> float | None:
    """The Dice of the whole tumour in ``labels`` if each probability is right; None without one.

    With p the tumour's probability and F the voxels found on the network's grid, the overlap
    is expected to be the sum of p over F and the true volume the sum of all p:
    2 sum_F p / (|F| + sum p).
    """
    tumour = np.isin(labels.voxels, TUMOUR)
    if not tumour.any():
        return None
    found = _onto(tumour, labels.geometry, probabilities.geometry)
    p = probabilities.voxels[list(TUMOUR)].sum(axis=0)
    likely = float(p[p >= LEAST_P].sum())
    overlap, size = float(p[found].sum()), int(found.sum())
    return 2 * overlap / (size + likely) if size else 0.0


def _onto(mask: NDArray[np.bool_], source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """``mask`` (Z, Y, X) at the voxels of ``target``, whose axes are the axial ones of ``source``.

    The nearest voxel counts; outside ``source`` there is nothing.
    """
    upright = axial(source)
    result = np.zeros(target.shape, dtype=np.bool_)
    at = [np.floor(positions(upright, target, axis) + 0.5).astype(int) for axis in (2, 1, 0)]
    sizes = reversed(upright.size)
    held = [np.flatnonzero((i >= 0) & (i < size)) for i, size in zip(at, sizes, strict=True)]
    chosen = [i[inside] for i, inside in zip(at, held, strict=True)]
    result[np.ix_(*held)] = reorient(mask, source, upright)[np.ix_(*chosen)]
    return result
