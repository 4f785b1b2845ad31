"""The outer ears: thin curled sheets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.sides import curve, on_side
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import Vec, smooth_both, smooth_union, tube
from meatus_phantom.tissues import Tissue

# Course of the sheet in an axial slice through its middle (x, y), left ear: from the canal's
# opening along the concha, over the antihelix to the rolled rim.
SHEET = (
    (69, -3),
    (74, -9),
    (76.5, -16),
    (80, -20.5),
    (85, -24),
    (89, -29.5),
    (92.5, -34),
    (95.5, -33),
    (95.5, -29),
)
TRAGUS = ((67, 7), (72, 7), (76, 5), (78, 1.5))
ROOT = (71.0, -12.0)


def pinna_parts(seed: int) -> list[Part]:
    return [on_side(part, side) for side in (1, -1) for part in _pinna(seed, side)]


def _pinna(seed: int, side: int) -> list[Part]:
    rng = stream(seed, "pinna", side)
    height = bounded_normal(rng, 29, 3, 23, 35)
    thick = float(rng.uniform(1.4, 2.2))
    middle = float(rng.normal(0, 3))
    box = Box((66, -50, middle - height - 2), (103, 14, middle + height + 2))
    sheet = looked_up(_sheet(seed, side, height, middle), box, 1.2)
    return [
        Part(Tissue.SKIN, lambda p: sheet(p) - thick, box),
        Part(Tissue.FAT, lambda p: sheet(p) - 0.3 * thick, box, opacity=0.8),
    ]


def _sheet(seed: int, side: int, height: float, middle: float) -> Distance:
    rng = stream(seed, "pinna's form", side)
    flat = float(rng.uniform(0.1, 0.75))  # radians that the ear lies closer to the head
    lean = float(rng.normal(0.15, 0.08))
    moved = rng.normal(0, 0.5, (len(SHEET), 2))
    shape = [
        (x + float(dx) - ROOT[0], y + float(dy) - ROOT[1], 0.0)
        for (x, y), (dx, dy) in zip(SHEET, moved, strict=True)
    ]
    sheet = curve(shape, 15)
    tragus = curve([(x - ROOT[0], y - ROOT[1], 0.0) for x, y in TRAGUS], 6)
    twist = float(rng.normal(0.012, 0.005))

    def distance(points: Tensor) -> Tensor:
        z = points[2] - middle
        # Smaller towards the rims above and below, and turned a little with height.
        shrink = (1 - (z / height).clamp(-0.97, 0.97) ** 2).sqrt().clamp_min(0.4)
        x = (points[0] - ROOT[0]) / shrink
        y = (points[1] - ROOT[1] + lean * z) / shrink
        c, s = math.cos(flat), math.sin(flat)
        bend = twist * z
        plane = torch.stack(
            (c * x - s * y - bend * y, s * x + c * y + bend * x, torch.zeros_like(x))
        )
        rim = tube(plane, sheet, _taper(sheet))
        flap = tube(plane, tragus, [0.0] * len(tragus))
        flap = smooth_both(flap, (z + 3).abs() - 9, 2.0)
        return smooth_both(smooth_union(rim * shrink, flap, 0.5), z.abs() - height, 1.5)

    return distance


def _taper(line: list[Vec]) -> list[float]:
    """Thicker at the root and along the rolled rim."""
    count = len(line)
    return [0.9 * (1 - i / count) ** 2 + 0.5 * (i > 0.75 * count) for i in range(count)]
