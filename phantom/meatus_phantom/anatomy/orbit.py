"""The orbits: fat, globe with lens, optic nerve in its sheath and the muscles about it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from meatus_phantom.anatomy.grids import looked_up
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance, Part, mirrored
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, ball, ellipsoid, smooth_both, tube
from meatus_phantom.tissues import Tissue

APEX: Vec = (14.0, 42.0, 9.0)


def orbit_parts(seed: int, skin: Outline) -> list[Part]:
    return [part for side in (1, -1) for part in _orbit(seed, side, skin)]


def _orbit(seed: int, side: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "orbit", side)
    jitter = rng.normal(0, 0.8, 3)
    globe: Vec = (32.5 + jitter[0], 77 + jitter[1], 11 + jitter[2])
    radius = float(rng.normal(12, 0.4))
    gaze: Vec = (
        globe[0] + float(rng.normal(0, 1.2)),
        globe[1] + 8.0,
        globe[2] + float(rng.normal(0, 1)),
    )
    course: Sequence[Vec] = (
        (globe[0] - 2, globe[1] - 11, globe[2]),
        (28 + float(rng.normal(0, 1.2)), 57, 12 + float(rng.normal(0, 1))),
        (19, 47, 10),
        (12, 38, 11),
        (5, 30, 15),
    )
    wavy = draw_waves(rng, 20)
    cone = _cone()
    bellies = Box((8, 44, -5), (48, 78, 27))
    muscles = looked_up(_muscles(globe), bellies, 0.9)
    along = Box((2, 26, 5), (36, 70, 19))
    nerve = looked_up(lambda p: tube(p, course, (1.6, 1.7, 1.7, 1.8, 2.0)), along, 0.8)
    box = Box((0, 24, -16), (58, 98, 38))
    near = Box(
        (globe[0] - 14, globe[1] - 14, globe[2] - 14), (globe[0] + 14, globe[1] + 14, globe[2] + 14)
    )

    def place(tissue: Tissue, shape: Distance, where: Box, smooth: bool = False) -> Part:
        limits = where if side > 0 else where.mirrored()
        return Part(tissue, mirrored(shape, side), limits, smooth=smooth)

    def walled(grown: float, sunk: float) -> Part:
        def shape(points: Tensor) -> Tensor:
            flipped = torch.stack((points[0] * side, points[1], points[2]))
            return smooth_both(
                cone(flipped) - grown + 0.5 * wavy(flipped), skin(points) + sunk, 2.0
            )

        limits = box if side > 0 else box.mirrored()
        tissue = Tissue.BONE if grown else Tissue.FAT
        return Part(tissue, shape, limits, smooth=True)

    return [
        walled(1.6, 9.0),
        walled(0.0, 3.0),
        place(Tissue.MUSCLE, muscles, bellies),
        place(Tissue.CSF, lambda p: nerve(p) - 1.0 - 0.02 * (p[1] - 50), along),
        place(Tissue.NERVE, nerve, along),
        place(Tissue.SKIN, _lids(globe, radius), near.grown(4)),
        place(Tissue.MUSCLE, lambda p: ball(p, globe, radius), near),
        place(Tissue.VITREOUS, lambda p: ball(p, globe, radius - 0.9), near),
        place(Tissue.LENS, lambda p: ellipsoid(p, gaze, (4.6, 2.1, 4.6)), near),
    ]


def _cone() -> Distance:
    """The bony orbit: a pyramid with round edges, widest just behind its rim."""

    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        along = ((y - APEX[1]) / 38).clamp(-0.1, 1.15)
        width = 3.5 + 16.0 * along.clamp_min(0) ** 0.8 - 4.0 * (along - 0.85).clamp_min(0)
        middle_x = APEX[0] + 17.5 * along
        middle_z = APEX[2] + 2.0 * along
        # Between a circle and a square.
        u, v = (x - middle_x) / width, (z - middle_z) / (0.92 * width)
        round_ = (u.abs() ** 2.7 + v.abs() ** 2.7 + 1e-6) ** (1 / 2.7)
        return torch.maximum((round_ - 1) * width * 0.9, APEX[1] - 2 - y)

    return distance


def _muscles(globe: Vec) -> Distance:
    """The four straight muscles: bellies between the apex and the globe's equator."""
    x, y, z = globe
    lines: Sequence[tuple[Vec, Vec, bool]] = (
        ((15.5, 48, 10), (x - 12.5, y - 4, z), True),
        ((20, 47, 9), (x + 11.5, y - 5, z), True),
        ((18, 47, 13), (x - 1, y - 6, z + 12), False),
        ((18, 47, 6), (x - 1, y - 6, z - 12), False),
    )

    def distance(points: Tensor) -> Tensor:
        found: Tensor | None = None
        for start, end, upright in lines:
            # A flat belly: squeeze the points along its breadth.
            axis = 2 if upright else 0
            squeezed = points.clone()
            bulge = 0.55
            pivot = (start[axis] + end[axis]) / 2
            squeezed[axis] = pivot + (squeezed[axis] - pivot) * bulge
            course = [tuple(_squeeze(v, axis, pivot, bulge)) for v in _bowed(start, end, globe)]
            belly = tube(squeezed, [(a, b, c) for a, b, c in course], (1.1, 2.2, 1.9, 0.8))
            found = belly if found is None else torch.minimum(found, belly)
        assert found is not None
        return found

    return distance


def _bowed(start: Vec, end: Vec, globe: Vec) -> list[Vec]:
    """Four points from ``start`` to ``end``, bowed away from the globe's axis."""
    points: list[Vec] = []
    for share, bow in ((0, 0.0), (0.4, 1.6), (0.75, 1.8), (1, 0.0)):
        x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
        centre_x = 15 + (globe[0] - 15) * (y - 42) / (globe[1] - 42)
        away = (x - centre_x, z - globe[2])
        length = max((away[0] ** 2 + away[1] ** 2) ** 0.5, 1.0)
        points.append((x + bow * away[0] / length, y, z + bow * away[1] / length))
    return points


def _squeeze(point: Vec, axis: int, pivot: float, factor: float) -> list[float]:
    moved = list(point)
    moved[axis] = pivot + (moved[axis] - pivot) * factor
    return moved


def _lids(globe: Vec, radius: float) -> Distance:
    """Eyelids and lens capsule front: skin over the globe."""

    def distance(points: Tensor) -> Tensor:
        cap = ball(points, globe, radius + 2.2)
        return torch.maximum(cap, globe[1] + 4.5 - points[1])

    return distance
