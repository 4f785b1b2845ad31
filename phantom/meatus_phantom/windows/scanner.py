"""What of a window is seen, and what a scanner and a picture's way into a file leave in it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from meatus_phantom.windows.settings import (
    FieldSettings,
    ScannerSettings,
    chance,
    log_uniform,
    smooth_noise,
)

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


def repeated_slices(
    labels: Tensor, rng: np.random.Generator, rules: FieldSettings
) -> Tensor | None:
    """The slice that each slice of ``labels`` (Z, Y, X) shows, where some repeat; else none."""
    if not chance(rng, rules.repeat_chance):
        return None
    count = len(labels)
    if chance(rng, 0.4):  # thick slices stored as thin ones
        width = int(rng.integers(2, 5))
        return torch.arange(count) // width * width
    marked = torch.nonzero((labels > 0).flatten(1).any(1)).flatten()
    if len(marked) and chance(rng, 0.8):
        shown = int(marked[int(rng.integers(len(marked)))])
    else:
        shown = int(rng.integers(count))
    return torch.full((count,), shown)


def draw_field(
    labels: Tensor,
    rng: np.random.Generator,
    rules: FieldSettings,
    spacing_mm: float,
    *,
    whole: bool,
) -> Tensor:
    """Where a window (Z, Y, X) shows anything, as bool; elsewhere it is black and unlabelled.

    In a window of the ``whole`` field a narrow one is centred on it, as the pipeline does, or
    shows few rows; a smaller window is cut at some of its sides. What is left is never narrower
    than a real scan's: in a handful of voxels nothing can be told.
    """
    seen = torch.ones(labels.shape, dtype=torch.bool)
    rows, columns = labels.shape[1:]
    if chance(rng, rules.narrow_chance):
        for axis, extent in ((1, rows), (2, columns)):
            _cut(seen, axis, *_narrow(extent, rng, rules.narrowest_mm / spacing_mm, whole))
    if chance(rng, rules.slab_chance) and whole:
        width = min(rows, round(rng.uniform(*rules.slab_mm) / spacing_mm))
        marked = torch.nonzero((labels > 0).any(0).any(1)).flatten()
        middle = int(marked.float().mean()) if len(marked) else rows // 2
        start = middle - width // 2 + round(rng.uniform(-0.4, 0.4) * width)
        _cut(seen, 1, start, start + width)
    if chance(rng, rules.ends_chance):
        third = max(len(labels) // 3, 1)
        _cut(seen, 0, int(rng.integers(third)), len(labels) - int(rng.integers(third)))
    if chance(rng, rules.hole_chance):
        _blank_out(seen, labels, rng)
    return seen


def _narrow(
    extent: int, rng: np.random.Generator, narrowest: float, whole: bool
) -> tuple[int, int]:
    """First voxel that is seen and the one after the last, of ``extent``."""
    width = round(log_uniform(rng, min(narrowest, extent), extent)) if chance(rng, 0.8) else extent
    start = (extent - width) // 2 if whole else round(rng.random() * (extent - width))
    return start, start + width


def _cut(seen: Tensor, axis: int, start: int, stop: int) -> None:
    """Leave what lies from ``start`` to ``stop`` along ``axis``, in place."""
    extent = seen.shape[axis]
    start, stop = max(start, 0), min(max(stop, 0), extent)
    seen.narrow(axis, 0, min(start, extent)).fill_(False)
    seen.narrow(axis, stop, extent - stop).fill_(False)


def _blank_out(seen: Tensor, labels: Tensor, rng: np.random.Generator) -> None:
    """A box without a structure, through all slices, as defacing leaves it."""
    rows, columns = labels.shape[1:]
    height, width = int(rng.uniform(0.08, 0.3) * rows), int(rng.uniform(0.08, 0.3) * columns)
    y, x = int(rng.integers(rows - height)), int(rng.integers(columns - width))
    box = (slice(None), slice(y, y + height), slice(x, x + width))
    if not bool((labels[box] > 0).any()):
        seen[box] = False
