"""Muscles behind and below the skull, with fat between their layers."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.lookup_grid import tabulate
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import capsule, ellipsoid, smooth_both, union
from meatus_phantom.tissues import Tissue


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
