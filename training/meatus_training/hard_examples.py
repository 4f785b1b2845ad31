"""Voxels near a tumour's surface: those a network confuses, found by dilation and erosion.

After the published code of "An Efficient Cross-Modal Segmentation Method for Vestibular
Schwannoma and Cochlea on MRI Images": a maximum over a cube about each voxel. Its edge is in
voxels along all three axes, however thick the slices are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from meatus.structures import TUMOUR

IGNORE = 255  # a label that counts neither for nor against any class
EDGES = (7, 9, 11, 13, 15)  # of the published code


def draw_edge(rng: np.random.Generator, edges: Sequence[int] = EDGES) -> int:
    """The edge, in voxels, of one evaluation of the loss: each of ``edges`` equally likely."""
    return int(edges[int(rng.integers(len(edges)))])


def tumour_mask(target: Tensor) -> Tensor:
    """Where ``target`` (N, Z, Y, X) is tumour of either part."""
    extra, intra = TUMOUR
    return (target == extra) | (target == intra)


def hard_negatives(target: Tensor, edge: int) -> Tensor:
    """Voxels outside the tumour with a tumour voxel in the cube of ``edge`` voxels about them.

    ``target`` (N, Z, Y, X), ``edge`` odd; the result is bool. A cochlea may be one; so may a
    voxel to ignore, which is for the loss to leave out.
    """
    tumour = tumour_mask(target)
    return dilate(tumour, edge) & ~tumour


def hard_positives(target: Tensor, edge: int) -> Tensor:
    """Tumour voxels whose cube of ``edge`` voxels holds something else: the rim erosion takes.

    What lies outside the window, or is to be ignored, makes no rim: it may be tumour.
    """
    tumour = tumour_mask(target)
    return dilate(~tumour & (target != IGNORE), edge) & tumour


def dilate(mask: Tensor, edge: int) -> Tensor:
    """Maximum of ``mask`` (N, Z, Y, X) bool over a centred cube of odd ``edge`` in voxels.

    One axis after the other: three passes over ``edge`` voxels, not one over their cube.
    """
    reach = edge // 2
    swollen = mask.to(torch.float16 if mask.is_cuda else torch.float32)[:, None]
    for axis in range(3):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = edge, reach
        swollen = F.max_pool3d(swollen, kernel, stride=1, padding=padding)
    return swollen[:, 0] > 0
