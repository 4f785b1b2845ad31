"""Chewing muscles, mandible, cheekbone and the fat between them; the muscles of the neck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.grids import looked_up, tabulate
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, capsule, ellipsoid, smooth_both, smooth_union, tube, union
from meatus_phantom.tissues import Tissue

MUSCLES = frozenset({Tissue.MUSCLE})
JAW_BOX = Box((10, -2, -75), (80, 76, 42))


def jaw_parts(seed: int, skin: Outline) -> list[Part]:
    return [part for side in (1, -1) for part in _side(seed, side, skin)]


def _side(seed: int, side: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "jaw", side)
    wavy, fibres = draw_waves(rng, 16), draw_waves(rng, 6, stretch=(1.0, 1.0, 3.0))
    moved = _mover(rng)
    box = JAW_BOX if side > 0 else JAW_BOX.mirrored()

    strips = Part(Tissue.FAT, _strips(wavy, fibres), JAW_BOX, into=MUSCLES, opacity=0.75)
    bulk = float(rng.uniform(-1.5, 2.0))
    low, high = Box((40, 4, -75), (62, 50, -1)), Box((44, 0, -16), (76, 74, 32))
    ramus, arch = looked_up(_ramus(moved), low, 1.2), looked_up(_arch(moved, skin, side), high, 1.2)
    gland = Box((44, -16, -64), (76, 26, -8))
    return [
        # Muscle halfway over fat: the parotid gland lies between the two on any contrast.
        on_side(Part(Tissue.MUSCLE, _parotid(moved, wavy), gland, smooth=True, opacity=0.45), side),
        Part(Tissue.MUSCLE, _temporalis(skin, wavy, side, bulk), box, smooth=True),
        Part(Tissue.MUSCLE, _chewing(moved, wavy, bulk, skin, side), box, smooth=True),
        on_side(strips, side),
        on_side(Part(Tissue.BONE, ramus, low), side),
        on_side(Part(Tissue.MARROW, lambda p: ramus(p) + 1.5, low), side),
        on_side(Part(Tissue.BONE, arch, high), side),
        on_side(Part(Tissue.MARROW, lambda p: arch(p) + 1.5, high), side),
    ]


def _mover(rng: np.random.Generator) -> Distance:
    """Shifts this side's landmarks a little; wraps around every distance below."""
    offset = torch.tensor(rng.normal(0, 1.2, 3), dtype=torch.float32)

    def moved(points: Tensor) -> Tensor:
        return points - offset.to(points.device).reshape(3, *(1,) * (points.dim() - 1))

    return moved


def _temporalis(skin: Outline, wavy: Waves, side: int, bulk: float) -> Distance:
    """Fills the temporal fossa between scalp and skull, which covers its deep side."""

    def distance(points: Tensor) -> Tensor:
        x = points[0] * side
        depth = skin(points) + 7.5 - 0.7 * bulk + 0.8 * wavy(points)
        y, z = points[1], points[2]
        extent = torch.hypot((y - 30 + 0.15 * z) / 30, (z - 12) / 44) - 1
        # Below the arch it tapers to the coronoid process.
        deep = torch.maximum(x - 63 - 0.5 * (z + 4).clamp_min(0), 44 - x)
        return smooth_both(smooth_both(depth, extent * 25, 4.0), deep, 2.0)

    return distance


def _chewing(moved: Distance, wavy: Waves, bulk: float, skin: Outline, side: int) -> Distance:
    """Masseter, lateral pterygoid (two heads) and medial pterygoid."""
    courses: Sequence[tuple[Vec, Vec, float, float]] = (
        ((60, 50, -12), (58, 26, -62), 7.5, 8.5),
        ((62, 40, -12), (59, 20, -58), 6.5, 7.5),
        ((45, 19, -9), (27, 40, -10), 5.0, 7.5),
        ((45, 18, -13), (23, 38, -22), 5.0, 7.5),
        ((22, 34, -24), (46, 22, -62), 7.5, 8.5),
    )

    def distance(points: Tensor) -> Tensor:
        flipped = torch.stack((points[0] * side, points[1], points[2]))
        at = moved(flipped)
        found = capsule(at, *courses[0])
        for course in courses[1:]:
            found = torch.minimum(found, capsule(at, *course))
        return torch.maximum(found - 0.5 * bulk + 0.9 * wavy(flipped), skin(points) + 4.5)

    return distance


def _parotid(moved: Distance, wavy: Waves) -> Distance:
    return lambda points: ellipsoid(moved(points), (60, 4, -36), (9, 14, 22)) + 1.5 * wavy(points)


def _strips(wavy: Waves, fibres: Waves) -> Distance:
    """Fat between the bellies and along the fibres."""

    def distance(points: Tensor) -> Tensor:
        return torch.minimum((wavy(points) + 0.3).abs() * 3.0 - 0.3, (1.9 - fibres(points)) * 1.5)

    return distance


def _ramus(moved: Distance) -> Distance:
    """Condyle, neck, coronoid process and ramus, a bent plate."""
    head: Sequence[Vec] = ((44, 12, -8), (55, 14, -9))
    neck: Sequence[Vec] = ((50, 14, -10), (51, 14, -18), (50, 17, -30), (47, 16, -66))
    front: Sequence[Vec] = ((50, 38, -12), (50, 37, -24), (49, 34, -40), (44, 40, -66))
    middle: Sequence[Vec] = ((50, 26, -27), (46, 27, -66))

    def distance(points: Tensor) -> Tensor:
        at = moved(points)
        plate = smooth_union(
            smooth_union(tube(at, neck, (4.2, 3.4, 3.2, 3.2)), tube(at, middle, (2.6, 2.8)), 3.0),
            tube(at, front, (2.0, 3.0, 3.2, 3.4)),
            3.0,
        )
        return torch.minimum(tube(at, head, (4.0, 4.0)), plate)

    return distance


def _arch(moved: Distance, skin: Outline, side: int) -> Distance:
    """Zygomatic arch, cheekbone and the lateral rim of the orbit."""
    course: Sequence[Vec] = ((63, 8, -3), (67, 24, -5), (66.5, 40, -6), (60, 55, -6), (50, 66, -7))
    rim: Sequence[Vec] = ((57, 59, -6), (54.5, 62, 8), (54, 62, 24))

    def distance(points: Tensor) -> Tensor:
        at = moved(points)
        bone = torch.minimum(
            tube(at, course, (2.6, 2.3, 3.0, 4.5, 5.0)), tube(at, rim, (4.5, 3.4, 3.8))
        )
        flipped = torch.stack((points[0] * side, points[1], points[2]))
        return torch.maximum(bone, skin(flipped) + 4.0)

    return distance


def neck_parts(seed: int, skin: Outline, outer: Outline) -> list[Part]:
    rng = stream(seed, "neck")
    wavy = draw_waves(rng, 22)
    fine = draw_waves(rng, 9, 4, stretch=(1.0, 1.0, 4.0))
    scalp = float(rng.uniform(6, 10))
    top = float(rng.uniform(-12, -4))  # superior nuchal line at the midline
    box = Box((-75, -90, -75), (75, 6, 2))

    def muscle(points: Tensor) -> Tensor:
        x, y, z = points
        below = z - top + 0.12 * x.abs() + 1.5 * wavy(points)
        depth = skin(points) + scalp + 1.5 * wavy(points)
        front = y + 0.45 * (x.abs() - 50).clamp_min(-20) + 4 * wavy(points)
        return smooth_both(smooth_both(depth, below, 3.0), front, 3.0)

    folds = tabulate(lambda p: torch.stack((outer(p) + 1.2 * wavy(p), wavy(p))), box, 3.0)

    def layers(points: Tensor) -> Tensor:
        """Fat between semispinalis, splenius and the short muscles, and in the midline."""
        x, _, z = points
        depth, wave = folds(points)
        gap = torch.minimum((depth - 6.5).abs(), (depth - 15.0 - 0.06 * x.abs()).abs())
        septa = (x.abs() - 22 - 3 * wave - 0.2 * z).abs()
        midline = (x - 1.2 * wave).abs()
        sheet = torch.minimum(torch.minimum(gap, septa), midline)
        return sheet - 0.5 - 0.35 * fine(points)

    def marbling(points: Tensor) -> Tensor:
        return 1.5 - fine(points)

    return [
        Part(Tissue.MUSCLE, muscle, box, smooth=True),
        Part(Tissue.FAT, layers, box, into=frozenset({Tissue.MUSCLE})),
        Part(Tissue.FAT, marbling, box, into=frozenset({Tissue.MUSCLE}), opacity=0.5),
        *_spine(seed),
    ]


def _spine(seed: int) -> list[Part]:
    """Prevertebral muscles, occipital condyles and the upper neck below the skull base."""
    rng = stream(seed, "spine")
    shift = float(rng.normal(0, 0.8))

    def prevertebral(points: Tensor) -> Tensor:
        left = ellipsoid(points, (9 + shift, 20, -42), (7, 5.5, 24))
        right = ellipsoid(points, (-8 + shift, 20, -43), (7, 5.5, 24))
        return torch.minimum(left, right)

    def vertebra(points: Tensor) -> Tensor:
        arch = capsule(points, (0, 12, -56), (0, 11, -70), 8)
        masses = union(
            *(capsule(points, (s * 17, 1, -43), (s * 19, 0, -56), 8) for s in (1, -1)),
        )
        return torch.minimum(arch, masses)

    def marrow(points: Tensor) -> Tensor:
        return vertebra(points) + 1.4

    box = Box((-32, -12, -80), (32, 30, -15))
    return [
        Part(Tissue.MUSCLE, prevertebral, box, smooth=True),
        Part(Tissue.BONE, vertebra, box, smooth=True),
        Part(Tissue.MARROW, marrow, box, smooth=True),
    ]
