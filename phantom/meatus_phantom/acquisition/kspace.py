"""Effects that arise while k-space is filled: motion, ghosts, truncation, filter and noise.

Images are complex (Z, Y, X); the transform is taken in plane, slice by slice.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from meatus_phantom.acquisition.setup import Effects

BRIGHT = 0.98  # quantile of a picture above which structures are taken to pulsate
LOOKED_AT = 100_000  # voxels, for that quantile


def through_k_space(
    image: Tensor,
    effects: Effects,
    spacing_mm: tuple[float, float],
    noise_sd: float,
    generator: torch.Generator,
) -> Tensor:
    """Magnitude (Z, Y, X) of what is put together from the k-space that was acquired.

    ``spacing_mm`` is the pixels' size along x and y; ``noise_sd`` is the SD of each channel's
    noise in the final picture, whatever the filter.
    """
    window = k_window(image.shape, effects, image.device)
    strength = noise_sd / float(window.square().mean().sqrt())
    k = torch.fft.fft2(with_noise(image, strength, generator))
    if effects.motion_share > 0:
        moved = rigidly_moved(image, effects.motion_deg, effects.motion_mm, spacing_mm)
        late = late_lines(image.shape, effects, image.device)
        k += torch.fft.fft2(moved - image) * late
    picture: Tensor = torch.fft.ifft2(k.mul_(window)).abs()
    return picture


def with_noise(image: Tensor, sd: float, generator: torch.Generator) -> Tensor:
    """White noise in both channels: the magnitude is then Rician."""
    if sd <= 0:
        return image
    noise = torch.empty((*image.shape, 2), dtype=torch.float32, device=image.device).normal_(
        0, sd, generator=generator
    )
    return image + torch.view_as_complex(noise)


def k_window(shape: torch.Size, effects: Effects, device: torch.device) -> Tensor:
    """Weights (Y, X) of the spatial frequencies: 0 where nothing was acquired."""
    phase_dim = -2 if effects.read_along_x else -1
    lines = []
    for dim in (-2, -1):
        kept = effects.kept_phase if dim == phase_dim else effects.kept_read
        frequency = torch.fft.fftfreq(shape[dim], device=device)
        inside = frequency.abs() <= kept / 2 + 1e-6
        slope = 0.5 - 0.5 * torch.cos(2 * math.pi * frequency / kept)
        lines.append(inside * (1 - effects.hann * slope))
    rows, columns = lines
    return torch.outer(rows, columns)


def late_lines(shape: torch.Size, effects: Effects, device: torch.device) -> Tensor:
    """1 for the phase-encoding steps after the head moved: from one end of k-space on."""
    dim = -2 if effects.read_along_x else -1
    frequency = torch.fft.fftfreq(shape[dim], device=device)
    late: Tensor = (frequency >= 0.5 - effects.motion_share).float()
    return late.unsqueeze(1) if dim == -2 else late


def rigidly_moved(
    image: Tensor, turn_deg: float, shift_mm: tuple[float, float], spacing_mm: tuple[float, float]
) -> Tensor:
    """``image`` turned about its centre and shifted in plane."""
    _, rows, columns = image.shape
    width, height = columns * spacing_mm[0] / 2, rows * spacing_mm[1] / 2  # in the sampler's units
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    theta = torch.tensor(
        [
            [c, -s * height / width, -shift_mm[0] / width],
            [s * width / height, c, -shift_mm[1] / height],
        ],
        device=image.device,
    )
    pair = torch.view_as_real(image).permute(3, 0, 1, 2)  # slices as channels of one picture each
    at = affine_grid(theta[None].expand(2, 2, 3), [2, 1, rows, columns], align_corners=False)
    moved = grid_sample(pair, at, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.view_as_complex(moved.permute(1, 2, 3, 0).contiguous())


def bright_level(water: Tensor) -> float:
    """The level above which structures are taken to pulsate: arteries, eyes, CSF."""
    few = water.flatten()[:: max(1, water.numel() // LOOKED_AT)]
    return float(torch.quantile(few, BRIGHT))


def with_ghosts(image: Tensor, effects: Effects, level: float) -> Tensor:
    """Replicas of what is brighter than ``level``, displaced along the phase axis, both ways."""
    if effects.ghost <= 0:
        return image
    dim = -2 if effects.read_along_x else -1
    step = max(1, round(effects.ghost_step * image.shape[dim]))
    bright = (image.abs() - level).clamp_min(0)
    for order in (1, 2):
        for way in (-1, 1):
            replica = torch.roll(bright, way * order * step, dims=dim)
            image = image + (way * effects.ghost / order) * replica
    return image
