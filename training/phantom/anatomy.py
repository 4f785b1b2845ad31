"""The head around the ears, as parts from the outside in.

Positions in millimetres after atlas values and example pictures: the pons' ventral surface
at y 9, the petrous bones' posterior faces from (10, 13) to (50, -20), temporal lobes above
and before them, the clivus and the sphenoid sinus between.
"""

from __future__ import annotations

import numpy as np

from inference.geometry import Array
from training.phantom.appearance import Tissue
from training.phantom.brain import hindbrain, posterior_fossa, temporal_lobes
from training.phantom.shapes import (
    Distance,
    Part,
    Plane,
    ball,
    both,
    ellipsoid,
    pipe,
    remember,
)

SIDES = (1, -1)
NOSE = ((0.0, 72.0, 0.0), 45.0)


def head_parts(rng: np.random.Generator) -> list[Part]:
    """Everything but the ears and the tumour."""
    width = rng.uniform(66, 78)
    head = remember(ellipsoid((0, 3, 10), (width, rng.uniform(90, 98), 120)))
    skull = remember(ellipsoid((0, -12, 10), (width - rng.uniform(6, 9), 68, 80)))
    fossa = remember(posterior_fossa(0.0, 15.0, 0.0, 0.0))
    return [
        *_outside(rng, head, skull),
        *_face(rng),
        *_skull_base(rng, skull),
        *temporal_lobes(rng, skull),
        *hindbrain(rng, fossa),
        *_cisterns(rng, fossa),
        *_vessels(rng),
    ]


def _outside(rng: np.random.Generator, head: Distance, skull: Distance) -> list[Part]:
    """Skin, fat and muscle: fat outside, muscles with fat between them inside."""
    scalp, amount = rng.uniform(3, 8), rng.uniform(-1.5, 2.5)

    def muscle(plane: Plane) -> Array:
        deep = both(head(plane) + scalp, -skull(plane))
        return both(deep, 2.5 * plane.lumps + plane.ripple - amount)

    return [
        Part(Tissue.MUSCLE, head),
        Part(Tissue.FAT, lambda plane: head(plane) + 1.5),
        Part(Tissue.MUSCLE, muscle),
        *(ball(Tissue.MUSCLE, (62, -24, -8), (3, 14, 16), side) for side in SIDES),
    ]


def _face(rng: np.random.Generator) -> list[Part]:
    """Orbits, nasal cavity with its ribbons, maxillary sinuses."""
    period = rng.uniform(6, 10)

    def ribbons(plane: Plane) -> Array:
        wave = np.cos((plane.x + 1.5 * plane.ripple) * (2 * np.pi / period))
        nose = both(np.abs(plane.x) - 15, np.abs(plane.y - 70) - 25)
        return both(nose, np.float32(2) * (0.5 - wave))

    parts = [
        Part(Tissue.AIR, lambda p: both(np.abs(p.x) - 17, np.abs(p.y - 70) - 26), *NOSE),
        Part(Tissue.MUCOSA, ribbons, *NOSE),
    ]
    for side in SIDES:
        centre = (31.0, 72.0, rng.uniform(8, 14))
        parts += [
            ball(Tissue.BONE, (28, 66, 12), (19, 27, 19), side),
            ball(Tissue.FAT, (28, 66, 12), (17, 26, 17), side),
            pipe(Tissue.NERVE, [(14, 42, 12), (30, 62, 12)], 2, side),
            pipe(Tissue.MUSCLE, [(14, 42, 12), (44, 72, 12)], 2.5, side),
            ball(Tissue.BONE, centre, (13, 13, 13), side),
            ball(Tissue.VITREOUS, centre, (12, 12, 12), side),
            ball(Tissue.AIR, (27, 60, -20), (12, 17, 16), side),
        ]
    return parts


def _skull_base(rng: np.random.Generator, skull: Distance) -> list[Part]:
    """Bone with marrow, the sphenoid sinus and the mastoids."""
    diploe = rng.uniform(2.5, 4)

    def marrow(plane: Plane) -> Array:
        middle = np.abs(skull(plane) + 3.5) - diploe * 0.4
        return both(middle, 0.8 * plane.lumps + 1.5 * plane.ripple)

    def clivus(plane: Plane) -> Array:
        block = ellipsoid((0, 21, -2), (17, 5.5, 22))(plane)
        return np.asarray(block + 0.8 * plane.ripple)

    parts = [
        Part(Tissue.BONE, lambda plane: both(skull(plane), plane.y - 50)),
        Part(Tissue.MARROW, marrow),
        Part(Tissue.MARROW, clivus, (0, 21, -2), 23, opacity=rng.uniform(0.6, 1)),
        ball(Tissue.MUCOSA, (0, 37, 2), (17, 12, 14)),
        ball(Tissue.AIR, (rng.normal(0, 2), 37, 2), (15.5, 10.5, 12.5)),
    ]
    apex = rng.uniform(0.3, 1) if rng.uniform() < 0.8 else 0.0
    for side in SIDES:
        parts += [
            ball(Tissue.BONE, (52, -12, -8), (13, 20, 22), side),
            Part(
                Tissue.MARROW,
                _patchy(ellipsoid((17, 15.5, -2), (9, 4.5, 8))),
                (17, 15.5, -2),
                9,
                side,
                opacity=float(np.clip(apex + rng.normal(0, 0.1), 0, 1)),
            ),
            _mastoid(rng, side),
        ]
    return parts


def _mastoid(rng: np.random.Generator, side: int) -> Part:
    """Air cells, one in ten with fluid; bone and air are both black."""
    tissue = Tissue.MUCOSA if rng.uniform() < 0.15 else Tissue.AIR
    cells = ellipsoid((55, -10, -4), (9, 14, 14))
    return Part(
        tissue,
        lambda plane: both(cells(plane), 1.5 * plane.ripple - 0.5),
        (55, -10, -4),
        14,
        side,
    )


def _patchy(shape: Distance) -> Distance:
    return lambda plane: np.asarray(shape(plane) + 0.9 * plane.ripple)


def _cisterns(rng: np.random.Generator, fossa: Distance) -> list[Part]:
    """What may be mistaken for a tumour, or hide one: flocculi, plexus, fluid pockets."""
    parts: list[Part] = []

    def inside(shape: Distance) -> Distance:
        return lambda plane: both(shape(plane) + 0.5 * plane.ripple, fossa(plane) + 0.8)

    for side in SIDES:
        lumps = [(Tissue.GREY, 0.9, (24, -11, -2), 4.5), (Tissue.MUCOSA, 0.5, (19, -11, -7), 2.2)]
        lumps += [(Tissue.GREY, 0.3, (30, -9, 4), 4.0), (Tissue.CSF, 0.25, (30, -14, 3), 8.0)]
        for tissue, chance, centre, radius in lumps:
            radii = radius * rng.uniform(0.6, 1.3, 3)
            x, y, z = np.array(centre) + rng.normal(0, 1.5, 3)
            if rng.uniform() < chance:
                shape = ellipsoid((x, y, z), (radii[0], radii[1], radii[2]))
                parts.append(Part(tissue, inside(shape), (x, y, z), float(radii.max()) + 1, side))
        parts += [
            pipe(Tissue.CSF, [(19, 19, 5), (21, 28, 3)], rng.uniform(1.8, 3), side),
            pipe(Tissue.NERVE, [(15, 2, 5), (19, 19, 6), (20, 22, 5)], 1.7, side),
        ]
    return parts


def _vessels(rng: np.random.Generator) -> list[Part]:
    """Arteries of the cistern and the bone, sinuses at the bone's edge."""
    basilar, bow = rng.uniform(1.4, 1.9), rng.normal(0, 2)
    front = rng.uniform(11.5, 14)
    path = [(bow / 2, front, -30.0), (bow, front, 0.0), (0.0, front, 22.0)]
    parts = [pipe(Tissue.ARTERY, [(x, y, z) for x, y, z in path], basilar)]
    for side in SIDES:
        y, z = rng.normal(-3, 2), rng.normal(-2, 3)
        loop = [(1.0, front, z - 4), (12.0, 6 + y / 2, z), (22.0, y + 2, z), (24.0, y - 4, z)]
        sinus = rng.uniform(3, 5)
        parts += [
            pipe(Tissue.ARTERY, [*loop, (16.0, y - 9, z - 2)], rng.uniform(0.35, 0.75), side),
            pipe(Tissue.ARTERY, [(30, 10, -6), (14, 22, -5)], 2.4, side),
            pipe(Tissue.VEIN, [(12.5, 25, 6), (12.5, 32, 8)], 4, side),
            pipe(Tissue.ARTERY, [(12.5, 22, -4), (12.5, 26, 7), (12.5, 32, 8)], 2.4, side),
            pipe(Tissue.VEIN, [(52, -22, 10), (48, -17, -6), (30, -9, -16)], sinus, side),
            ball(Tissue.VEIN, (27, -8, rng.uniform(-18, -13)), (5, 5, 6), side),
        ]
    return parts
