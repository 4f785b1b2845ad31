"""A stereotactic frame: fluid in the rods of a box about the head, seen as dots in each slice."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from meatus.geometry import Geometry
from meatus_phantom.acquisition.fields import world
from meatus_phantom.parts import Box, Part
from meatus_phantom.shapes import capsule
from meatus_phantom.signal.appearance import Signal
from meatus_phantom.tissues import Tissue

# Measured on public example pictures: a Leksell box.
ROD_X_MM = 95.0
REAR_Y_MM, FRONT_Y_MM = -53.0, 66.0
ROD_MM = 1.15  # radius
HALF_HEIGHT_MM = 60.0  # the diagonal crosses 120 mm in y over 120 mm in z


def frame_parts(rng: np.random.Generator) -> list[Part]:
    """Two upright rods and a diagonal on each side, in the scanner's frame.

    The scanner's frame is the canonical one before the head's pose: x left, y anterior, z up.
    A frame is rigid and sits as the scanner holds it, so that no warp may touch it.
    """
    dx, dy, dz = rng.normal(0, 2), rng.normal(0, 4), rng.uniform(-25, 25)
    parts = []
    for side in (-1, 1):
        x = float(dx + side * ROD_X_MM)
        rear, front = float(dy + REAR_Y_MM), float(dy + FRONT_Y_MM)
        low, high = float(dz - HALF_HEIGHT_MM), float(dz + HALF_HEIGHT_MM)
        parts.append(_rod((x, rear, low), (x, rear, high)))
        parts.append(_rod((x, front, low), (x, front, high)))
        parts.append(_rod((x, rear, low), (x, front, high)))
    return parts


def add_frame(signal: Signal, geometry: Geometry, parts: list[Part], level: float) -> None:
    """Lay the rods into ``signal.water`` (on ``geometry``) at brightness ``level``, in place."""
    width_mm = geometry.spacing_mm[0]
    device = signal.water.device
    for part in parts:
        window = _window(geometry, part.box)
        if window is None:
            continue
        start = (window[2].start, window[1].start, window[0].start)
        size = tuple(w.stop - w.start for w in reversed(window))
        inner = geometry.crop(start, (size[0], size[1], size[2]))
        here = torch.stack([world(inner, axis, device).expand(inner.shape) for axis in range(3)])
        cover = (0.5 - part.distance(here) / width_mm).clamp(0, 1)
        signal.water[window] = signal.water[window].lerp(torch.full_like(cover, level), cover)


def _rod(low: tuple[float, float, float], high: tuple[float, float, float]) -> Part:
    reach = ROD_MM + 1.0
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).grown(reach)
    return Part(Tissue.FRAME, lambda points: capsule(points, low, high, ROD_MM), box)


def _window(geometry: Geometry, box: Box) -> tuple[slice, slice, slice] | None:
    """The voxels that a box of the scanner's frame can touch."""
    corners = np.array(list(itertools.product(*zip(box.low, box.high, strict=True))))
    corners[:, 1] *= -1  # to LPS
    index = (corners - np.array(geometry.origin_mm)) @ geometry.axes
    index = index / np.array(geometry.spacing_mm)
    low = np.maximum(np.floor(index.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(0)).astype(int) + 1, np.array(geometry.size))
    if (low >= high).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x
