"""What is done to a finished picture: faces hidden, borders blanked, intensities stored."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from meatus.geometry import Geometry
from meatus_phantom.acquisition.sampled import world
from meatus_phantom.acquisition.setup import Deface

STAIR_MM = 3.0  # width of the steps of a cut's edge
BLUR_MM = 8.0
SHELL_MM = 12.0  # depth of the grey blur before it fades
FADE_MM = 15.0  # over which it ends


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
