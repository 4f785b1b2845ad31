"""Brainstem, fourth ventricle and cerebellum with its folia, dentate nuclei and floccules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.cavity import Cavity
from meatus_phantom.anatomy.grids import LookupGrid, as_distance, looked_up, tabulate
from meatus_phantom.anatomy.outlines import contours, loft
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, capsule, ellipsoid, smooth_both, smooth_union, tube
from meatus_phantom.tissues import Tissue

STEM = contours("""
    -75: 0,-1  5,-3  5.5,-6  3.5,-9  0,-9.5
    -45: 0,0  5,-1.5  6.3,-5.5  4,-10  0,-10.5
    -34: 0,1.5  5,1  7.3,-4  5,-10  0,-11
    -25: 0,3.6  2.5,4.4  6.5,3  8.6,-2  7,-9  0,-10
    -17: 0,5.2  3,6  7.5,3.6  10,-2  10,-8.5  0,-11
    -12: 0,8.5  4,9  9,6.3  13,1  16,-5  19,-11  15,-15  0,-13
    -6: 0,10.6  4,11.2  9.5,9.8  14,5.2  16,-0.5  21,-7.5  26,-13  25,-19.5  15,-18  0,-14
    0: 0,11  4,11.8  9.5,10.4  14,5.8  16,0  20.5,-7  25,-12.5  24,-19.5  14,-18  0,-14
    6: 0,11.6  4,12.4  9.5,11  14,6.6  15.5,0  19,-7  22,-13  20,-18.5  11,-17.5  0,-14
    12: 0,12  4,12.8  9,11.6  13,7.5  14,1  13.5,-6  11.5,-12  6,-14.5  0,-14.5
    17: 0,10  4,12.4  9,12.6  14,9.5  15.5,3  13,-5  9.5,-11  4,-14  0,-13.3
    24: 0,7  3,10.5  8,14  14,12  17,6  15.5,-1  11,-8  7,-12.5  3,-13.2  0,-12
    31: 0,6  4,9  10,13  17,12  19,5  17,-2  10,-9  4,-11  0,-10
""")
FOURTH = contours("""
    -27: 0,-13  2,-15.5  2,-19  0,-22
    -20: 0,-10.8  3.5,-11.5  4.5,-13.5  3,-16.5  0,-18
    -12: 0,-11.4  7,-12.4  10,-14.5  8.5,-18  6,-20.5  0,-21
    -4: 0,-11.6  5,-12.2  9.5,-14  11,-18  10.8,-25  8.5,-30  4,-31.5  0,-32
    3: 0,-11.6  5,-12.2  8.5,-14.2  8.6,-18  7,-24  4,-28  0,-29
    9: 0,-12.2  4,-12.8  5.2,-15  3.8,-19  1.8,-22  0,-23
    14: 0,-11.8  1.8,-12.8  2.2,-15  1.4,-17  0,-18
    19: 0,-9.7  1,-10.8  1,-13  0,-14
""")
NODULE_BOX = Box((-14, -38, -16), (14, -14, 10))

CEREBELLUM = contours("""
    -38: 0,-22  7,-19  11,-26  7,-33  0,-31
    -31: 0,-17  9,-13  19,-16  28,-26  27,-38  16,-46  5,-45  0,-37
    -22: 0,-12  14,-9  28,-15  38,-26  38.5,-40  29,-52  14,-58  4,-54  0,-45
    -12: 0,-7  16,-6  26,-10  38,-18.5  46.5,-29  46.5,-40  38,-53  22,-62  9,-63  3,-58  0,-51
    0: 0,-5  16,-5  24,-8.5  31,-13  42,-21  49.5,-30  49.5,-38  44,-49  33,-58.5  19,-64.5  8,-64
        3,-59  0,-54
    7: 0,-6  15,-6  26,-10  40,-20  48.5,-30  48,-39  42,-50  32,-58  18,-63  8,-63  3,-60  0,-56
    13: 0,-9  14,-6.5  23,-9  34,-18  40,-32  32,-49  17,-57  5,-57  0,-55
    20: 0,-14  12,-14  20,-20  22,-31  15,-43  5,-49  0,-50
    26: 0,-18  6,-17  10,-24  8,-33  0,-39
    30: 0,-23  3,-23  4,-28  0,-33
""")
CEREBELLUM_BOX = Box((-58, -72, -42), (58, 2, 34))


def stem_parts(seed: int, atrophy: float) -> list[Part]:
    """Painted over the cerebellum, into whose white matter the peduncles run."""
    rng = stream(seed, "brainstem")
    outline = loft(STEM, (0, -4.5, 0.02), rng, 0.45)
    lumpy = draw_waves(rng, 9)
    thin = 0.8 * atrophy + float(rng.normal(-0.2, 0.35))

    def stem(points: Tensor) -> Tensor:
        # The peduncles end as fingers in the white matter, not as a wall.
        behind = ((-8.0 - points[1]) / 6).clamp(0, 1)
        distance = outline(points) + thin * (1 - behind) + 1.1 * behind * lumpy(points)
        return smooth_both(distance, points[2] - 31.0, 4.0)

    return [Part(Tissue.PONS, stem, Box((-32, -26, -80), (32, 18, 34)), soft=True)]


def fourth_parts(seed: int, atrophy: float) -> list[Part]:
    """The fourth ventricle: an inverted U about the nodule, tent higher up, lateral recesses."""
    rng = stream(seed, "fourth ventricle")
    outline = loft(FOURTH, (0, -14.0, 0.06), rng, 0.6)
    lumpy, tilt = draw_waves(rng, 8), float(rng.normal(0, 0.7))
    wide = 0.7 * atrophy + float(rng.normal(-0.2, 0.35))
    recesses: tuple[tuple[Vec, ...], ...] = tuple(
        (
            (s * 8, -14, -10),
            (s * (14 + rng.normal(0, 0.7)), -14.5, -11),
            (s * 19, -11 + rng.normal(0, 1), -11),
            (s * (22 + rng.normal(0, 1)), -6, -10),
        )
        for s in (1, -1)
    )
    reach = [1.5, float(rng.uniform(0.8, 1.4)), 1.0, 1.3]

    def space(points: Tensor) -> Tensor:
        return smooth_both(outline(points) - wide + 0.3 * lumpy(points), -26.0 - points[2], 2.0)

    def recess(points: Tensor) -> Tensor:
        return torch.minimum(*(tube(points, course, reach) for course in recesses))

    def nodule(points: Tensor) -> Tensor:
        middle = capsule(points, (tilt, -37, -4), (tilt, -20, -1), 4.2, 2.8)
        left = ellipsoid(points, (6.9 + tilt, -25.5, -5), (2.4, 6.6, 7))
        right = ellipsoid(points, (tilt - 6.8, -25.0, -5), (2.5, 6.2, 7.5))
        found = torch.minimum(middle, torch.minimum(left, right))
        return found + wide * 0.5 + 0.55 * lumpy(points)

    def plexus(points: Tensor) -> Tensor:
        arms = [
            tube(
                points,
                ((tilt + s * 1.5, -17, -5), (s * 7.5, -15.5, -9), (s * 14, -14, -11)),
                [0.7] * 3,
            )
            for s in (1, -1)
        ]
        return torch.minimum(*arms) + 0.45 * lumpy(points)

    arms = Box((-27, -20, -16), (27, -2, -6))
    return [
        Part(Tissue.CSF, space, Box((-16, -37, -30), (16, -8, 21)), soft=True),
        Part(Tissue.CSF, looked_up(recess, arms, 0.7), arms, soft=True),
        Part(Tissue.CEREBELLAR_CORTEX, looked_up(nodule, NODULE_BOX, 0.9), NODULE_BOX, soft=True),
        Part(Tissue.MUCOSA, plexus, Box((-18, -21, -15), (18, -11, -2)), soft=True, opacity=0.7),
    ]


def cerebellum_parts(seed: int, atrophy: float, cavity: Cavity) -> list[Part]:
    grid = tabulate(_fields(seed, atrophy, cavity), CEREBELLUM_BOX, 1.5)
    cleft, blade = _folia(seed, atrophy, grid)
    return [
        Part(
            Tissue.CEREBELLAR_CORTEX, as_distance(grid, 0), CEREBELLUM_BOX, soft=True, smooth=True
        ),
        Part(Tissue.CEREBELLAR_WHITE, blade, CEREBELLUM_BOX, soft=True, opacity=0.75),
        Part(Tissue.CSF, cleft, CEREBELLUM_BOX, soft=True),
        # The core covers the ends of the clefts.
        Part(Tissue.CEREBELLAR_WHITE, as_distance(grid, 2), CEREBELLUM_BOX, soft=True),
        *(part for side in (1, -1) for part in _dentate(seed, side)),
    ]


def _fields(seed: int, atrophy: float, cavity: Cavity) -> Distance:
    """Distance to the surface, position across the folia (mm), distance to the core, unevenness."""
    rng = stream(seed, "cerebellum")
    outline = loft(CEREBELLUM, (0, -28, 0.0), rng, 0.7)
    gap = float(rng.uniform(0.6, 1.2)) + 1.6 * atrophy
    wide, warp, ripple = draw_waves(rng, 35), draw_waves(rng, 34), draw_waves(rng, 13)
    uneven, broken = draw_waves(rng, 16), draw_waves(rng, 7)
    white = _white(seed)
    floccules = [_floccule(rng, side) for side in (1, -1)]
    centre = (float(rng.uniform(9, 14)), float(rng.uniform(0, 6)))

    def fields(points: Tensor) -> Tensor:
        lobes = smooth_both(outline(points) - 1.0 + 0.8 * atrophy, points[2] - 29.0, 3.0)
        lobes = smooth_both(lobes, -38.0 - points[2], 3.0)
        for place, radii in floccules:
            lobes = smooth_union(lobes, ellipsoid(points, place, radii), 1.5)
        # The skull's own form leaves a thin film of fluid, thicker where it likes.
        within = cavity.tent(points) + gap * (1 + 0.45 * wide(points)).clamp_min(0.4)
        surface = smooth_both(lobes + 0.5 * ripple(points), within, 1.0)
        across = _across(points, centre) + 2.6 * warp(points) + 0.5 * ripple(points)
        return torch.stack(
            (
                surface,
                across,
                white(points, surface, across),
                0.55 * uneven(points) + 0.35 * broken(points),
            )
        )

    return fields


def _floccule(rng: np.random.Generator, side: int) -> tuple[Vec, Vec]:
    place = (side * rng.uniform(25, 29), rng.normal(-8.5, 0.8), rng.normal(-6, 1.5))
    size = rng.uniform(0.75, 1.25)
    return (
        (float(place[0]), float(place[1]), float(place[2])),
        (float(5.2 * size), float(3.4 * size), float(4.4 * size)),
    )


def _across(points: Tensor, centre: tuple[float, float]) -> Tensor:
    """Constant along a folium: arcs in an axial slice, a fan in a sagittal one."""
    x, y, z = points
    aside = (x * x + 30).sqrt() - centre[0]
    height = z + 3
    fan: Tensor = 0.55 * (height * height + 60).sqrt()
    return torch.hypot(aside * 0.95, y - centre[1]) - fan


def _folia(seed: int, atrophy: float, grid: LookupGrid) -> tuple[Distance, Distance]:
    """Fluid in the fissures, and white matter in the middle of the lobules between them."""
    rng = stream(seed, "folia")
    spacing = float(rng.uniform(1.9, 2.6)) + 1.6 * atrophy
    lobule = spacing * float(rng.uniform(3.2, 4.2))
    width = float(rng.uniform(0.15, 0.3)) + 0.75 * atrophy**1.3
    reach = float(rng.uniform(9, 13)) + 2 * atrophy

    def cleft(points: Tensor) -> Tensor:
        surface, across, _, uneven = grid(points)
        depth = -surface
        fine = _comb(across, spacing) - 0.5 * width * (0.6 + uneven)
        fine = torch.maximum(fine + 0.02 * depth, depth - reach * (0.55 + 0.4 * uneven))
        # Between lobules the fissures are deeper and wider.
        deep = _comb(across, lobule) - 0.5 * (width + 0.25) * (0.75 + 0.6 * uneven)
        deep = torch.maximum(deep + 0.012 * depth, depth - 1.6 * reach)
        return torch.maximum(torch.minimum(fine, deep), surface - 0.3)

    def blade(points: Tensor) -> Tensor:
        surface, across, _, uneven = grid(points)
        middle = _comb(across + lobule / 2, lobule) - 0.08 * lobule + 0.02 * surface
        return torch.maximum(middle, 4.0 + surface + 2.5 * uneven)

    return cleft, blade


def _comb(across: Tensor, spacing: float) -> Tensor:
    """Distance to the nearest multiple of ``spacing``."""
    half = spacing / 2
    return half - (torch.remainder(across, spacing) - half).abs()


def _white(seed: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The medullary core: under a cortex of uneven depth, branching outwards."""
    rng = stream(seed, "cerebellar white")
    lumpy, branches = draw_waves(rng, 22), draw_waves(rng, 8)
    depth_mm = float(rng.uniform(12, 15))

    def distance(points: Tensor, surface: Tensor, across: Tensor) -> Tensor:
        fingers = 1.6 * torch.cos(across * 1.05) + 1.2 * branches(points)
        # Little of it in the vermis; none behind the ventricle.
        vermis = 5.0 - points[0].abs() + 0.35 * (points[1] + 30).clamp_min(0)
        return smooth_both(surface + depth_mm + 2 * lumpy(points) + fingers, vermis, 3.0)

    return distance


def _dentate(seed: int, side: int) -> list[Part]:
    """A crumpled ribbon, open towards the midline in front."""
    rng = stream(seed, "dentate", side)
    fold: Waves = draw_waves(rng, 5.5)
    at = (
        side * float(rng.normal(14.5, 0.8)),
        float(rng.normal(-27, 1)),
        float(rng.normal(-4, 1)),
    )
    radii = (float(rng.uniform(4.5, 6)), float(rng.uniform(6.5, 8)), 5.5)

    def ribbon(points: Tensor) -> Tensor:
        lean = torch.stack((points[0] - 0.45 * side * -(points[1] - at[1]), points[1], points[2]))
        shell = (ellipsoid(lean, at, radii) + 0.9 * fold(points)).abs() - 0.75
        hilum = side * (at[0] - points[0]) + 0.6 * (points[1] - at[1]) - 3.0
        return torch.maximum(shell, hilum)

    low, high = (tuple(a + s * 12 for a in at) for s in (-1, 1))
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    return [Part(Tissue.DENTATE, ribbon, box, soft=True, opacity=0.8)]
