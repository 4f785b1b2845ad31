"""Effects of where the signal is taken from: slices, displaced fat, wrap-around."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from meatus.geometry import Geometry
from meatus_phantom.acquisition.setup import Effects


def slice_profile(values: Tensor, fwhm: float) -> Tensor:
    """Blur (Z, Y, X) across slices by a Gaussian profile of ``fwhm`` slices.

    Each slice's share is the profile's integral over it; the end slices are carried on.
    """
    if fwhm <= 0 or len(values) == 1:
        return values
    sd = fwhm / 2.3548  # sqrt(8 ln 2)
    reach = max(1, math.ceil(2 * sd))
    edges = [math.erf((n - 0.5) / (sd * math.sqrt(2))) for n in range(-reach, reach + 2)]
    weights = [(b - a) / (edges[-1] - edges[0]) for a, b in itertools.pairwise(edges)]
    last = len(values) - 1
    blurred = torch.zeros_like(values)
    for offset, weight in zip(range(-reach, reach + 1), weights, strict=True):
        start, stop = max(0, -offset), min(len(values), len(values) - offset)
        if start < stop:
            blurred[start:stop].add_(values[start + offset : stop + offset], alpha=weight)
        for n in (*range(start), *range(max(stop, start), len(values))):
            blurred[n].add_(values[0 if n + offset < 0 else last], alpha=weight)
    return blurred


def shift_fat(fat: Tensor, geometry: Geometry, effects: Effects) -> Tensor:
    """Displace ``fat`` (Z, Y, X) along the readout, between pixels linearly."""
    axis = 0 if effects.read_along_x else 1
    pixels = effects.fat_shift_mm / geometry.spacing_mm[axis]
    if pixels == 0:
        return fat
    whole = math.floor(pixels)
    dim = 2 - axis
    near, far = torch.roll(fat, whole, dim), torch.roll(fat, whole + 1, dim)
    return near.lerp_(far, pixels - whole)


def fold(image: Tensor, effects: Effects) -> Tensor:
    """Lay what lies beyond either end of the phase axis over the other end."""
    width = effects.wrap_voxels
    if width == 0:
        return image
    dim = 1 if effects.read_along_x else 2
    size = image.shape[dim] - 2 * width
    inner = image.narrow(dim, width, size).clone()
    inner.narrow(dim, size - width, width).add_(image.narrow(dim, 0, width))
    inner.narrow(dim, 0, width).add_(image.narrow(dim, size + width, width))
    return inner
