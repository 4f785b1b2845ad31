"""Temporal lobes and what lies above: cortex folded about white matter, ventricles, deep nuclei."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.cavity import Cavity
from meatus_phantom.anatomy.grids import as_distance, looked_up, tabulate
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, box, ellipsoid, smooth_both, tube, union
from meatus_phantom.tissues import Tissue

BOX = Box((-74, -88, -14), (74, 92, 108))
CORTEX_MM = 2.5


def cerebrum_parts(seed: int, atrophy: float, cavity: Cavity) -> list[Part]:
    grid = tabulate(_fields(seed, atrophy, cavity), BOX, 2.0)
    width = _sulcus(seed, atrophy)

    def sulci(points: Tensor) -> Tensor:
        surface, aside, bottom, _ = grid(points)
        within = torch.maximum(-surface - bottom, surface - 0.2)
        return torch.maximum(aside.abs_() - width, within)

    return [
        Part(Tissue.GREY, as_distance(grid, 0), BOX),
        Part(Tissue.WHITE, as_distance(grid, 3), BOX),
        Part(Tissue.CSF, sulci, BOX),
        *_deep(seed, atrophy),
    ]


def _sulcus(seed: int, atrophy: float) -> float:
    """Half the width of a sulcus (mm)."""
    return 0.25 + float(stream(seed, "sulci").uniform(0, 0.25)) + 0.8 * atrophy


def _fields(seed: int, atrophy: float, cavity: Cavity) -> Distance:
    """Distance to the surface, to the nearest sulcus, the sulci's depth, distance to the white."""
    rng = stream(seed, "cerebrum")
    folds: Waves = draw_waves(rng, float(rng.uniform(18, 22)), 12)
    uneven, lumpy = draw_waves(rng, 19), draw_waves(rng, 30)
    gap = float(rng.uniform(0.4, 0.9)) + 1.5 * atrophy
    width = _sulcus(seed, atrophy)
    cut = 1.4 + 0.8 * atrophy

    def fields(points: Tensor) -> Tensor:
        film = gap * (1 + 0.5 * lumpy(points)).clamp_min(0.3)
        surface = smooth_both(cavity.cerebral(points) + film, film - cavity.tent(points), 1.0)
        bent = points + 2.2 * torch.stack((0.4 * lumpy(points), uneven(points), lumpy(points)))
        surface = torch.maximum(surface, -_clefts(points, bent, cut))
        onto = points + (-surface).clamp(0, 25) * _outwards(points)
        height, slope = folds.with_slope(onto)
        aside = height / (slope * slope + 0.01).sqrt()
        bottom = 8.5 + 4.0 * uneven(points)
        below = (-surface - bottom).clamp_min(0)
        white = torch.maximum(surface, width - torch.hypot(aside, below)) + CORTEX_MM
        return torch.stack((surface, aside, bottom, white))

    return fields


def _outwards(points: Tensor) -> Tensor:
    """Unit vectors away from the core of the nearer hemisphere."""
    x, y, z = points
    away = torch.stack(
        (
            x - 26 * torch.sign(x),
            y - y.clamp(-45, 40),
            z - (8 + (y.abs() < 60) * 14 - 8 * (y > 25)).float(),
        )
    )
    unit: Tensor = away / torch.linalg.vector_norm(away, dim=0).clamp_min(1.0)
    return unit


def _clefts(points: Tensor, bent: Tensor, width: float) -> Tensor:
    """Fluid between hemispheres, in the lateral fissures and above the sella; negative inside."""
    x, _, z = points
    core = ellipsoid(points, (0, -2, 40), (30, 36, 20))
    midline = torch.maximum(torch.maximum(x.abs() - width, -core), 20.0 - z)
    x, y, z = bent
    plane = 0.82 * (z - 18 - 0.58 * (42 - y))
    lateral = torch.maximum(plane.abs() - 0.75 * width, 34 - x.abs())
    insula = torch.maximum(box(bent, (0, 12, 33), (36 + width, 20, 9), 7), 36 - width - x.abs())
    basal = ellipsoid(points, (0, 21, 17), (13, 12, 10))
    return union(midline, lateral, insula, basal)


def _deep(seed: int, atrophy: float) -> list[Part]:
    rng = stream(seed, "deep brain")
    lumpy = draw_waves(rng, 12)
    wide = 1.0 + 0.5 * atrophy + float(rng.normal(0, 0.1))

    def mirror(points: Tensor) -> Tensor:
        lean = 0.6 * lumpy(points)
        return torch.stack((points[0].abs() + lean, points[1] + lean, points[2]))

    def nuclei(points: Tensor) -> Tensor:
        at = mirror(points)
        return union(
            ellipsoid(at, (11.5, -4, 40), (7.5, 13, 8)),
            ellipsoid(at, (25, 12, 42), (6, 17, 10)),
            ellipsoid(at, (12, 24, 47), (5, 9, 10)),
        )

    body: tuple[Vec, ...] = (
        (7, 34, 43),
        (10, 20, 52),
        (10, 0, 56),
        (15, -22, 54),
        (23, -37, 42),
        (24, -55, 38),
        (21, -64, 37),
    )
    horn: tuple[Vec, ...] = ((24, -37, 42), (29, -22, 26), (31, -4, 13), (29, 10, 8))

    def ventricles(points: Tensor) -> Tensor:
        at = mirror(points)
        lateral = tube(
            at, body, [2.5 * wide, 4.5 * wide, 4 * wide, 4.5 * wide, 6 * wide, 3 * wide, 1.0]
        )
        temporal = tube(at, horn, [5 * wide, 1.9 * wide, 1.2 * wide, 0.8 * wide])
        third = box(points, (0, 8, 37), (1.6 * wide, 14, 9), 1.0)
        return torch.minimum(torch.minimum(lateral, temporal), third)

    def hippocampus(points: Tensor) -> Tensor:
        at = mirror(points)
        return tube(at, ((25, 12, 5), (25, 0, 10), (24, -14, 18), (20, -26, 28)), [5, 4.5, 4, 3])

    near = Box((-38, -34, -2), (38, 20, 36))
    inner = Box((-48, -72, -2), (48, 46, 66))
    brain = frozenset({Tissue.GREY, Tissue.WHITE, Tissue.CSF})
    return [
        Part(Tissue.GREY, looked_up(hippocampus, near, 1.5), near, into=frozenset({Tissue.WHITE})),
        Part(Tissue.GREY, nuclei, inner, into=brain, smooth=True),
        Part(Tissue.CSF, looked_up(ventricles, inner, 1.5), inner, into=brain),
    ]
