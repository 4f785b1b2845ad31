"""Two ears drawn by hand: a head's worth of labels whose volumes and places are known."""

import numpy as np

from meatus.geometry import Geometry
from meatus.structures import Structure

# 130 x 60 x 30 mm, one voxel a cubic millimetre; x runs to the patient's left.
GRID = Geometry((130, 60, 30), (1.0, 1.0, 1.0), (-64.5, -30.0, -15.0))
BONE, TUMOUR, FLUID = 0.02, 0.45, 1.0  # of hrT2, over the fluid's


def box(labels, structure, x, y, z):
    """Label the voxels of three ranges, each (first, one past the last)."""
    labels[slice(*z), slice(*y), slice(*x)] = structure


def ears():
    """Two cochleae of 120 mm3, 72 mm apart; on the left a canal of 200 mm3, a tumour of 512."""
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    box(labels, Structure.COCHLEA, (98, 104), (28, 33), (13, 17))  # about x = +36
    box(labels, Structure.COCHLEA, (26, 32), (28, 33), (13, 17))  # about x = -36
    box(labels, Structure.INTRA_MEATAL, (86, 96), (30, 35), (13, 17))  # about x = +26
    box(labels, Structure.EXTRA_MEATAL, (78, 86), (28, 36), (11, 19))  # about x = +17
    return labels


def scan_of(labels):
    """hrT2 of ``labels``: the cochleae hold fluid, all else is bone."""
    levels = np.array([BONE, TUMOUR, TUMOUR, FLUID], dtype=np.float32)
    return levels[labels]


def probabilities(labels, p=0.95):
    """(4, Z, Y, X): each voxel's label has ``p``, the other classes share the rest."""
    out = np.full((4, *labels.shape), (1 - p) / 3, dtype=np.float32)
    np.put_along_axis(out, labels[None].astype(np.intp), p, axis=0)
    return out


def doubted(found, labels, where, p):
    """``found`` (4, Z, Y, X), but ``where`` is true ``labels`` have ``p``, background the rest."""
    out, places = found.copy(), np.nonzero(where)
    out[:, *places] = 0
    out[Structure.BACKGROUND, *places] = 1 - p
    out[labels[where], *places] = p
    return out
