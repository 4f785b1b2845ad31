"""Separable filters for a window on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TRUNCATED = 3.0  # standard deviations


def gaussian(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """``image`` (Z, Y, X) blurred by ``sigmas`` (z, y, x) in voxels; borders are carried on."""
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            image = _along(image, _kernel(sigma, image), axis)
    return image


def _kernel(sigma: float, like: Tensor) -> Tensor:
    reach = max(1, round(TRUNCATED * sigma))
    offsets = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def _along(image: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """``image`` (Z, Y, X) filtered by ``kernel`` along ``axis``, as shifted sums.

    A few shifted copies are faster than a 3D convolution with one channel on a processor.
    """
    reach = len(kernel) // 2
    padding = [0] * 6
    padding[4 - 2 * axis] = padding[5 - 2 * axis] = reach
    padded = F.pad(image[None, None], padding, mode="replicate")[0, 0]
    length = image.shape[axis]
    result = torch.zeros_like(image)
    for offset, weight in enumerate(kernel.tolist()):
        result.add_(padded.narrow(axis, offset, length), alpha=weight)
    return result
