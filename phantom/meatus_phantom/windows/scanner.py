"""What a scanner, and a picture's way into a file, leave in a window."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from meatus_phantom.windows.ranges import chance, log_uniform, smooth_noise
from meatus_phantom.windows.settings import ScannerSettings

UNLIMITED = 10.0  # of the fluid's level: nothing is that bright


def scanned(
    image: Tensor, rng: np.random.Generator, generator: torch.Generator, rules: ScannerSettings
) -> Tensor:
    """``image`` (Z, Y, X), fluid at 1, with bias, blur, coarse matrix, noise and sharpening."""
    shape = tuple(image.shape)
    if chance(rng, rules.bias_chance):
        knot = (60.0, log_uniform(rng, 60, 200), log_uniform(rng, 60, 200))
        bias = smooth_noise(generator, shape, knot)
        image = image * torch.exp(rng.uniform(0, rules.bias) * bias)
    if chance(rng, rules.blur_chance):
        sd = log_uniform(rng, 0.3, 1.5)
        image = blurred(image, sd * log_uniform(rng, 0.8, 1.25), sd * log_uniform(rng, 0.8, 1.25))
    if chance(rng, rules.coarse_chance):
        image = _coarse(image, rng)
    if chance(rng, rules.noise_chance):
        image = _noisy(image, rng, generator, rules)
    if chance(rng, rules.sharpen_chance):
        sd = log_uniform(rng, 0.6, 2)
        image = (image + rng.uniform(0.2, 0.9) * (image - blurred(image, sd, sd))).clamp_min(0)
    return image


def toned(
    image: Tensor, rng: np.random.Generator, rules: ScannerSettings, brightest_tissue: float
) -> Tensor:
    """``image`` as a display's window, its gamma and its few grey values leave it.

    The window's upper end stays above ``brightest_tissue``, so that tumour and brain are not cut.
    """
    if chance(rng, rules.tone_chance):
        lowest = min(1.1, max(0.5, 1.2 * brightest_tissue))
        top = rng.uniform(lowest, 1.3) if chance(rng, 0.6) else UNLIMITED
        low = rng.uniform(0, 0.08) if chance(rng, 0.4) else 0.0
        gamma = log_uniform(rng, 0.55, 1.8) if chance(rng, 0.6) else 1.0
        image = ((image - low) / (min(top, 3.0) - low)).clamp(0, 1 if top < UNLIMITED else None)
        image = image**gamma
    if chance(rng, rules.steps_chance):
        count = 2 ** rng.uniform(4.5, 8)
        most = float(image.max().clamp_min(1e-6))
        image = (image / most * count).round() / count * most
    return image


def blurred(image: Tensor, sd_y: float, sd_x: float) -> Tensor:
    """``image`` (Z, Y, X) under a Gaussian in the plane; SDs in voxels."""
    for axis, sd in ((1, sd_y), (2, sd_x)):
        if sd < 0.15:
            continue
        reach = math.ceil(2.5 * sd)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sd) ** 2)
        kernel /= kernel.sum()
        sides = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        shape = (1, 1, -1, 1) if axis == 1 else (1, 1, 1, -1)
        rows = pad(image[:, None], sides, mode="replicate")
        image = torch.nn.functional.conv2d(rows, kernel.reshape(shape))[:, 0]
    return image


def _coarse(image: Tensor, rng: np.random.Generator) -> Tensor:
    factor = log_uniform(rng, 1.2, 2.6)
    rows, columns = image.shape[1:]
    size = (max(8, int(rows / factor)), max(8, int(columns / factor)))
    small = interpolate(image[:, None], size=size, mode="area")
    kind = str(rng.choice(["bilinear", "nearest", "bicubic"], p=[0.6, 0.15, 0.25]))
    return interpolate(small, size=(rows, columns), mode=kind)[:, 0].clamp_min(0)


def _noisy(
    image: Tensor, rng: np.random.Generator, generator: torch.Generator, rules: ScannerSettings
) -> Tensor:
    sd = log_uniform(rng, *rules.noise)
    noise = torch.randn(image.shape, generator=generator)
    if chance(rng, 0.5):  # of an interpolated matrix
        width = rng.uniform(0.4, 0.9)
        noise = blurred(noise, width, width)
        noise /= noise.std()
    noisy = image + sd * noise
    return noisy.abs() if chance(rng, 0.6) else noisy.clamp_min(0)
