"""Between the temporal lobes: pituitary, cavernous sinuses and the carotid siphons."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, ellipsoid, tube
from meatus_phantom.tissues import Tissue


def sella_parts(seed: int) -> list[Part]:
    rng = stream(seed, "sella")
    lumpy = draw_waves(rng, 8)
    wide = [float(rng.normal(12.5, 0.8)) for _ in range(2)]
    size = [float(rng.normal(2.5, 0.25)) for _ in range(2)]
    height = float(rng.uniform(2.4, 4.2))

    def lateral(points: Tensor) -> Tensor:
        left = ellipsoid(points, (wide[0] + 0.8, 27, 8.5), (5.2, 9.5, 6.5))
        right = ellipsoid(points, (-wide[1] - 0.8, 26.5, 8.5), (5.2, 9.5, 6.5))
        return torch.minimum(left, right) + 0.5 * lumpy(points)

    def gland(points: Tensor) -> Tensor:
        body = ellipsoid(points, (0.4, 26.5, 9.5), (7.0, 5.0, height))
        stalk = tube(points, ((0, 25.5, 11), (0, 23, 20)), (1.2, 1.0))
        return torch.minimum(body + 0.3 * lumpy(points), stalk)

    box = Box((-22, 15, -1), (22, 39, 18))
    middle = Box((-9, 19, 3), (9, 33, 22))
    walls = looked_up(lateral, box, 1.2)
    return [
        Part(Tissue.DURA, lambda p: walls(p) - 0.7, box),
        Part(Tissue.VEIN, walls, box),
        Part(Tissue.MUCOSA, looked_up(gland, middle, 0.9), middle),
        *(_carotid(side, w, r) for side, w, r in zip((1, -1), wide, size, strict=True)),
    ]


def _carotid(side: int, wide: float, radius: float) -> Part:
    course = _siphon(wide)
    radii = [radius * share for share in (1, 1, 1, 0.95, 0.8, 0.55, 0.4, 0.3)]
    box = Box((6, 16, -9), (32, 37, 25))
    line = looked_up(lambda p: tube(p, course, radii), box, 0.8)
    return on_side(Part(Tissue.ARTERY, line, box), side)


def _siphon(wide: float) -> tuple[Vec, ...]:
    """From the petrous apex through the cavernous sinus to the cistern and the middle artery."""
    return (
        (wide + 1.5, 20, -5),
        (wide + 0.3, 22, 4),
        (wide, 31, 7),
        (wide - 0.8, 32.5, 12),
        (wide - 1.5, 26, 15),
        (wide + 1, 24, 20),
        (20, 27.5, 21),
        (31, 25, 22.5),
    )
