"""From signal to stored scan: the scanner's effects in their physical order."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from meatus.geometry import Geometry
from meatus_phantom.acquisition.fields import receive_field, world
from meatus_phantom.acquisition.kspace import bright_level, through_k_space, with_ghosts
from meatus_phantom.acquisition.setup import Deface, Effects, Setup
from meatus_phantom.random_streams import stream
from meatus_phantom.signal.appearance import Signal

CHUNK_VOXELS = 1_600_000  # transformed at a time, which bounds the memory

STAIR_MM = 3.0  # width of the steps of a cut's edge
BLUR_MM = 8.0
SHELL_MM = 12.0  # depth of the grey blur before it fades
FADE_MM = 15.0  # over which it ends


def acquire(signal: Signal, setup: Setup, seed: int) -> NDArray[np.int16]:
    """The stored scan (Z, Y, X) on ``setup.geometry`` of a signal on ``setup.rendered``."""
    effects, rendered, geometry = setup.effects, setup.rendered, setup.geometry
    device = signal.water.device
    generator = torch.Generator(device)
    generator.manual_seed(int(stream(seed, "noise").integers(2**62)))
    gain = receive_field(rendered, effects, stream(seed, "coil"), device)
    water = slice_profile(signal.water, effects.slice_fwhm)
    fat = slice_profile(shift_fat(signal.fat, rendered, effects), effects.slice_fwhm)
    turn = cmath.exp(1j * signal.fat_phase_rad)
    bright = bright_level(water)
    largest = float(torch.maximum(water.max(), fat.max()).clamp_min(1e-9))
    factor = min(effects.brain_value / signal.brain, effects.largest_value / largest)
    scan = np.empty(geometry.shape, dtype=np.int16)
    rows = max(1, CHUNK_VOXELS // (rendered.size[0] * rendered.size[1]))
    for start in range(0, len(scan), rows):
        slab = slice(start, min(start + rows, len(scan)))
        count = slab.stop - slab.start
        here = gain.onto(rendered.crop((0, 0, start), (*rendered.size[:2], count)))
        image = torch.complex(
            (water[slab] + turn.real * fat[slab]) * here, turn.imag * fat[slab] * here
        )
        image = with_ghosts(fold(image, effects), effects, bright)
        picture = through_k_space(
            image,
            effects,
            geometry.spacing_mm[:2],
            effects.noise_to_brain * signal.brain,
            generator,
        )
        part = geometry.crop((0, 0, start), (*geometry.size[:2], count))
        picture = deface(picture, part, setup.deface, signal.brain)
        picture = blank(picture, effects.blank_voxels)
        scan[slab] = to_int16(picture, factor)
    return scan


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


def deface(image: Tensor, geometry: Geometry, how: Deface | None, brain: float) -> Tensor:
    """Hide the face in ``image`` (Z, Y, X): zeros for a cut, a grey blur otherwise."""
    if how is None:
        return image
    hidden, depth_mm = face(geometry, how, image.device)
    if how.kind == "cut":
        return image.masked_fill(hidden, 0.0)
    # Rounded to keep the blur's blocks apart from the pixel grid's own size.
    block = [max(1, round(BLUR_MM / geometry.spacing_mm[axis])) for axis in (1, 0)]
    small = avg_pool2d(image[:, None], block, ceil_mode=True, count_include_pad=False)
    blurred = interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    fade = (1 - (depth_mm - SHELL_MM) / FADE_MM).clamp(0, 1)
    return torch.where(hidden, torch.maximum(blurred, how.grey * brain * fade), image)


def face(geometry: Geometry, how: Deface, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which voxels are hidden, and how far in front of the border each lies (mm)."""
    left = world(geometry, 0, device)
    forward = world(geometry, 1, device)
    stairs = (left / STAIR_MM).round() * STAIR_MM
    depth_mm = forward - how.front_mm + math.tan(math.radians(how.tilt_deg)) * stairs
    half = how.half_width_mm + how.slant * depth_mm
    hidden = (depth_mm > 0) & (left.abs() < half)
    return hidden.expand(geometry.shape), depth_mm


def blank(image: Tensor, widths: tuple[int, int, int, int]) -> Tensor:
    """Zero the borders: x low, x high, y low, y high, in voxels; in place."""
    x_low, x_high, y_low, y_high = widths
    _, rows, columns = image.shape
    image[:, :, :x_low] = 0
    image[:, :, columns - x_high :] = 0
    image[:, :y_low] = 0
    image[:, rows - y_high :] = 0
    return image


def to_int16(image: Tensor, factor: float) -> NDArray[np.int16]:
    """Stored intensities: ``factor`` times the signal, rounded and clipped to what int16 holds."""
    stored = (image * factor).round_().clamp_(0, 32767)
    return np.asarray(stored.to(torch.int16).cpu().numpy(), dtype=np.int16)
