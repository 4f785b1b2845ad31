"""Measures of label maps: overlap and volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.measure import structure_masks
from inference.volumes import Labels

__all__ = ["dice", "structure_masks", "volumes_mm3"]

Mask = NDArray[np.bool_]


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the shared voxels over the sum of both masks' voxels (Dice 1945), in [0, 1].

    Two empty masks agree: 1.0. MedPy's ``dc``, which crossMoDA used, gives 0.0 there.
    """
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(prediction & reference)) / total


def volumes_mm3(labels: Labels) -> dict[str, float]:
    """The volume of each scored structure; the cochlea's is of both sides together."""
    return {
        name: int(np.count_nonzero(mask)) * labels.geometry.voxel_mm3
        for name, mask in structure_masks(labels.voxels).items()
    }
