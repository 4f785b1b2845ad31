"""Measures of label maps: overlap and volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.structures import TUMOUR, Structure
from inference.volumes import Labels

Mask = NDArray[np.bool_]


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the shared voxels over the sum of both masks' voxels (Dice 1945), in [0, 1].

    Two empty masks agree: 1.0. MedPy's ``dc``, which crossMoDA used, gives 0.0 there.
    """
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(prediction & reference)) / total


def structure_masks(labels: NDArray[np.uint8]) -> dict[str, Mask]:
    """The scored structures of a label map, each of its shape; the tumour's parts also as one."""
    extra, intra = (labels == structure for structure in TUMOUR)
    return {
        "extra_meatal": extra,
        "intra_meatal": intra,
        "whole_vs": extra | intra,
        "cochlea": labels == Structure.COCHLEA,
    }


def volumes_mm3(labels: Labels) -> dict[str, float]:
    """The volume of each scored structure; the cochlea's is of both sides together."""
    return {
        name: int(np.count_nonzero(mask)) * labels.geometry.voxel_mm3
        for name, mask in structure_masks(labels.voxels).items()
    }
