"""What a worse scanner, or a shorter scan, would have shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from meatus.intensity import BLACK
from meatus_training.augmentation.chances import chance, normal_like, small_normal
from meatus_training.augmentation.settings import AugmentSettings

TRUNCATED = 3.0  # standard deviations of a Gaussian
BIAS_SUPPORTS = (2, 4, 4)  # (z, y, x): a coil's shading has no detail


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


def lower_resolution(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Average over larger voxels in the plane, with half the chance along z too, and go back."""
    rules = settings.quality
    used, along_z = chance(rng, rules.low_chance), chance(rng, 0.5)
    factor = rng.uniform(*rules.low_factor)
    if not used:
        return image, labels
    size = [max(round(n / factor), 1) for n in image.shape]
    if not along_z:
        size[0] = image.shape[0]
    small = F.interpolate(image[None, None], size, mode="area")
    back = F.interpolate(small, list(image.shape), mode="trilinear")[0, 0]
    return _where_shown(image, back), labels


def repeat_slices(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Show one slice of every few in the place of all of them, labels too.

    As a scan of thick slices that was stored at thin ones: structures end in steps along z, or
    not at all within the window. The number is even on a logarithmic scale between two slices
    and twice the window's, so that one slice in five fills it all.
    """
    rules = settings.quality
    depth = len(image)
    used, size, offset = chance(rng, rules.repeat_chance), rng.random(), rng.random()
    if not used:
        return image, labels
    count = round(2 * depth**size)
    place = torch.arange(depth, device=image.device) + int(offset * count)
    shown = place - place % count + count // 2 - int(offset * count)
    shown = shown.clamp(0, depth - 1)
    return image[shown], labels[shown]


def blur(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """A Gaussian in the plane, a different one along either axis."""
    rules = settings.quality
    used, sigmas = chance(rng, rules.blur_chance), rng.uniform(*rules.blur_voxels, 2)
    if not used:
        return image, labels
    return _where_shown(image, gaussian(image, (0.0, *sigmas.tolist()))), labels


def add_noise(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """White Gaussian noise."""
    rules = settings.quality
    used, strength = chance(rng, rules.noise_chance), rng.uniform(*rules.noise)
    grain = normal_like(image, rng) if used else image
    return (_where_shown(image, image + strength * grain) if used else image), labels


def shade(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """A coil's smooth bias: a factor whose logarithm is normal at a few supports."""
    rules = settings.quality
    used = chance(rng, rules.bias_chance)
    supports = small_normal(BIAS_SUPPORTS, rng, image)
    if not used:
        return image, labels
    size = list(image.shape)
    field = F.interpolate(supports[None, None], size, mode="trilinear", align_corners=True)[0, 0]
    lit = (image + 1) * torch.exp(rules.bias * field) - 1
    return _where_shown(image, lit), labels


def _where_shown(image: Tensor, changed: Tensor) -> Tensor:
    """``changed``, clipped, where ``image`` is not black."""
    return torch.where(image > BLACK, changed.clamp(-1, 1), image)
