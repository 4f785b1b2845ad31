"""Everything inside the skull but vessels, nerves and the petrous bones.

Written here: dural folds with the large sinuses, and the sella with the carotid siphons.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from meatus_phantom.anatomy.cavity import Cavity, draw_cavity
from meatus_phantom.anatomy.cerebrum import cerebrum_parts
from meatus_phantom.anatomy.grids import looked_up
from meatus_phantom.anatomy.posterior_fossa import cerebellum_parts, fourth_parts, stem_parts
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, ellipsoid, tube
from meatus_phantom.tissues import Tissue

DURA_MM = 0.8


def brain_parts(seed: int, atrophy: float) -> list[Part]:
    """Dura, fluid and brain in rendering order; ``atrophy`` 0 (young) to 1 widens the fluid."""
    cavity = draw_cavity(seed)
    return [
        *_lining(cavity),
        *cerebrum_parts(seed, atrophy, cavity),
        *fold_parts(seed, cavity),
        *sella_parts(seed),
        *cerebellum_parts(seed, atrophy, cavity),
        *stem_parts(seed, atrophy),
        *fourth_parts(seed, atrophy),
        *sinus_parts(seed, cavity),
    ]


def _lining(cavity: Cavity) -> list[Part]:
    box = Box((-76, -90, -80), (76, 93, 108))
    return [
        Part(Tissue.DURA, lambda p: cavity.whole(p) - DURA_MM, box, smooth=True),
        Part(Tissue.CSF, cavity.whole, box, smooth=True),
    ]


def fold_parts(seed: int, cavity: Cavity) -> list[Part]:
    """Falx, tentorium, and fluid below the tentorium."""
    rng = stream(seed, "folds")
    bend = draw_waves(rng, 70)

    def falx(points: Tensor) -> Tensor:
        x, y, z = points
        free = torch.hypot((y + 2) / 46, (z - 36) / 22) - 1  # free edge round the callosum
        sheet = (x - 0.5 * bend(points)).abs() - 0.5
        lower = 27.0 - z - 0.22 * (-y).clamp_min(0)
        sheet = torch.maximum(torch.maximum(sheet, -30 * free), lower)
        return torch.maximum(sheet, cavity.whole(points) - 1.0)

    def tentorium(points: Tensor) -> Tensor:
        notch = 1 - torch.hypot(points[0] / 24, (points[1] + 2) / 36)
        edge = torch.maximum(notch * 24, 6.0 - points[2])
        return torch.maximum(cavity.tent(points) - 0.8, edge)

    def below(points: Tensor) -> Tensor:
        return torch.maximum(cavity.tent(points), 5.5 - points[2])

    above = Box((-56, -74, 4), (56, 26, 37))
    return [
        Part(Tissue.DURA, falx, Box((-4, -88, 8), (4, 90, 106))),
        Part(Tissue.DURA, tentorium, above, smooth=True),
        Part(Tissue.CSF, below, above, smooth=True),
    ]


def sinus_parts(seed: int, cavity: Cavity) -> list[Part]:
    rng = stream(seed, "sinuses")
    right = float(rng.uniform(0.85, 1.25))
    left = float(rng.uniform(0.6, 1.05))
    back = cavity.upper
    lumpy = draw_waves(rng, 10)
    centre: Vec = back.point(0.0, -70.0, 13.0, 0.5)

    def transverse(side: int, size: float) -> tuple[tuple[Vec, ...], list[float]]:
        drift = float(rng.normal(0, 1.5))
        heights = (
            (12.0, -66.0, 13.5),
            (26.0, -60.0, 12.5 + drift),
            (40.0, -52.0, 10.5 + drift),
            (49.0, -42.0, 8.5 + drift),
            (53.0, -31.0, 5.5),
        )
        along = tuple(cavity.posterior.point(side * x, y, min(z, 9.0), 1.0) for x, y, z in heights)
        raised = tuple((p[0], p[1], h[2]) for p, h in zip(along, heights, strict=True))
        return (centre, *raised), [
            3.8 * size,
            3.4 * size,
            3.4 * size,
            3.6 * size,
            4.0 * size,
            4.0 * size,
        ]

    lines = [transverse(1, left), transverse(-1, right)]
    sagittal = [back.point(0.0, -70.0, z, 1.5) for z in (12.0, 26.0, 42.0, 58.0, 74.0)]
    straight: tuple[Vec, ...] = (
        (0, -36, 33),
        (0, -50, 24),
        (centre[0], centre[1] + 3, centre[2] + 2),
    )

    courses: list[tuple[Sequence[Vec], Sequence[float]]] = [
        *lines,
        (sagittal, [3.6, 3.2, 3.4, 3.4, 3.0]),
        (straight, [1.8, 2.0, 2.6]),
    ]
    veins = [_vein(course, radii, lumpy) for course, radii in courses]
    return [
        *(Part(Tissue.DURA, _wall(vein), box) for vein, box in veins),
        *(Part(Tissue.VEIN, vein, box) for vein, box in veins),
    ]


def _vein(course: Sequence[Vec], radii: Sequence[float], lumpy: Waves) -> tuple[Distance, Box]:
    low, high = (
        tuple(pick(point[axis] for point in course) for axis in range(3)) for pick in (min, max)
    )
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).grown(max(radii) + 2)
    return looked_up(lambda p: tube(p, course, radii) + 0.45 * lumpy(p), box, 1.0), box


def _wall(vein: Distance) -> Distance:
    return lambda points: vein(points) - 0.7


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
