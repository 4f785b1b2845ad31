"""Medulla, pons with its peduncles, midbrain and the fourth ventricle."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.outlines import contours, loft
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec, capsule, ellipsoid, smooth_both, tube
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
