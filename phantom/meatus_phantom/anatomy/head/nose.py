"""Nasal cavity with septum and turbinates, ethmoid cells above it."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import box as cuboid
from meatus_phantom.shapes import smooth_both
from meatus_phantom.tissues import Tissue

BOX = Box((-21, 42, -41), (21, 104, 20))


def nose_parts(seed: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "nose")
    wavy = draw_waves(rng, 18)
    bend = float(rng.normal(0, 2.0))
    grown = BOX.grown(2)
    cavity, septum = looked_up(_cavity(skin), grown, 1.5), _septum(bend)
    turbinates = looked_up(_turbinates(seed), grown, 0.8)

    def cells(points: Tensor) -> Tensor:
        x, y, z = points
        y = y + 0.8 * wavy(points)
        walls = torch.sin(y * 0.72 + 0.35 * x) * torch.cos(z * 0.55 + 0.08 * y) * 2.2
        sheet = torch.minimum(walls.abs() * 1.4 - 0.75, x.abs() - 1.2)
        return torch.maximum(sheet, 2.0 - z + wavy(points))

    def cores(points: Tensor) -> Tensor:
        return torch.minimum(turbinates(points) + 1.9, septum(points) + 1.1)

    def inside(shape: Distance) -> Distance:
        return lambda points: torch.maximum(shape(points), cavity(points) + 0.5)

    return [
        Part(Tissue.BONE, lambda p: cavity(p) - 1.0, BOX),
        Part(Tissue.MUCOSA, cavity, BOX),
        Part(Tissue.AIR, lambda p: cavity(p) + 1.1 + 0.4 * wavy(p), BOX),
        Part(Tissue.MUCOSA, inside(cells), Box((-19, 44, -2), (19, 94, 20))),
        Part(Tissue.MUCOSA, inside(turbinates), BOX),
        Part(Tissue.MUCOSA, inside(septum), BOX),
        Part(Tissue.BONE, inside(cores), BOX),
    ]


def _cavity(skin: Outline) -> Distance:
    """From choanae to nostrils; narrower above, where the ethmoid lies between the orbits."""

    def distance(points: Tensor) -> Tensor:
        lower = cuboid(points, (0, 68, -22), (15, 24, 16), 5)
        upper = cuboid(points, (0, 70, 4), (12.5, 21, 13), 5)
        external = cuboid(points, (0, 90, -18), (8.5, 13, 14), 5)
        shape = torch.minimum(torch.minimum(lower, upper), external)
        return smooth_both(shape, skin(points) + 6.0, 2.0)

    return distance


def _septum(bend: float) -> Distance:
    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        course = bend * torch.sin((y - 44) * 0.06) * torch.cos((z + 15) * 0.05)
        distance: Tensor = (x - course).abs() - 1.9
        return distance

    return distance


def _turbinates(seed: int) -> Distance:
    """Curled ribbons along the lateral walls: lower, middle and upper on each side."""
    rng = stream(seed, "turbinates")
    wavy = draw_waves(rng, 13, stretch=(1.0, 1.6, 1.0))
    # Height and distance from the midline of each ribbon's middle, half length, half height.
    rows = tuple(
        tuple(float(v + rng.normal(0, s)) for v, s in zip(row, (1.0, 0.7, 2, 1), strict=True))
        for row in (
            (-24, 9.0, 20, 8),
            (-24, 9.0, 20, 8),
            (-9, 7.0, 17, 7),
            (-9, 7.0, 17, 7),
            (3, 5.5, 12, 4),
            (3, 5.5, 12, 4),
        )
    )
    swell = float(rng.uniform(-0.4, 0.7))

    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        found = torch.full_like(x, 50.0)
        ripple = wavy(points)
        for index, (height, away, half_length, half_height) in enumerate(rows):
            side = 1 if index % 2 == 0 else -1
            # The ribbon leans outwards below, like a scroll.
            middle = away + 1.6 * torch.sin((y - 52) * 0.13 + index) - 0.02 * (z - height) ** 2
            sheet = (x * side - middle).abs() - 2.3 - swell - 0.6 * ripple
            ends = torch.maximum((y - 67).abs() - half_length, (z - height).abs() - half_height)
            found = torch.minimum(found, smooth_both(sheet, ends, 2.0))
        return found

    return distance
