"""Cranial nerves V to X in the cistern, and the four branches in the canal."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from meatus_phantom.anatomy.ear.canal import canal_point
from meatus_phantom.anatomy.ear.labyrinth import cochlea_point
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import as_vec, box_about, curve, near, on_side, pipe
from meatus_phantom.parts import Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import Vec, ellipsoid
from meatus_phantom.tissues import Tissue

SPLIT = 0.62  # the part of the canal's length at which VIII has become three nerves
MECKEL_MM = (2.5, 6.0, 3.0)  # half axes of the cave


def nerve_parts(ears: tuple[Ear, Ear], seed: int) -> list[Part]:
    """The nerves of both sides, with the fluid of Meckel's caves."""
    parts = []
    for ear in ears:
        rng = stream(seed, "nerves", ear.side)
        left = ear.as_left()
        nerves = [
            *_trigeminal(rng),
            *_abducens_and_lower(rng),
            *_facial(left, rng),
            *_eighth(left, rng),
        ]
        parts += [on_side(part, ear.side) for part in nerves]
    return parts


def pontomedullary(ear: Ear, rng: np.random.Generator) -> Vec:
    """Where VII and VIII leave the brainstem on the left: within it, so that no gap shows."""
    x, y, z = rng.normal((10.5, 0.5, -4.5), (0.5, 0.8, 1.0))
    return float(x), float(y), float(z) + 0.4 * ear.porus[2]


def _facial(ear: Ear, rng: np.random.Generator) -> list[Part]:
    """VII: above and before VIII; at the fundus anterosuperior, then to the geniculate ganglion."""
    radius = bounded_normal(rng, 0.5, 0.07, 0.35, 0.7)
    _, high = ear.canal_half_mm
    x, y, z = pontomedullary(ear, rng)
    root = (x, y + 1.3, z + 1.0)
    middle = canal_point(ear, -0.75, 1.0 + float(rng.normal(0, 0.4)), -0.2)
    line = curve(
        [
            root,
            middle,
            canal_point(ear, 0.05, 0.9, 0.30 * high),
            canal_point(ear, SPLIT, 0.8, 0.42 * high),
            canal_point(ear, 1.0, 0.75, 0.40 * high),
        ],
        12,
    )
    fundus = canal_point(ear, 1.0, 0.75, 0.40 * high)
    knee = as_vec(np.array(fundus) + np.array((3.2, 4.0, 2.2)))
    bony = curve([fundus, as_vec((np.array(fundus) + knee) / 2 + (0.2, -0.4, 0.2)), knee], 5)
    return [
        pipe(Tissue.NERVE, bony, [0.45, 0.45, 0.9], soft=True),
        pipe(Tissue.NERVE, line, [radius], soft=True),
    ]


def _eighth(ear: Ear, rng: np.random.Generator) -> list[Part]:
    """VIII: one trunk that parts into the cochlear and both vestibular nerves."""
    trunk = bounded_normal(rng, 1.0, 0.07, 0.85, 1.15)
    cochlear = bounded_normal(rng, 0.55, 0.07, 0.4, 0.75)
    wide, high = ear.canal_half_mm
    x, y, z = pontomedullary(ear, rng)
    middle = canal_point(ear, -0.75, -0.9 + float(rng.normal(0, 0.4)), -0.6)
    porus, split = canal_point(ear, 0.05, -0.5, -0.15 * high), canal_point(ear, 0.45, -0.35, -0.1)
    stem = curve([(x, y - 0.6, z - 0.3), middle, porus, split], 10)
    branches = [
        (cochlear, canal_point(ear, 0.97, 0.75, -0.38 * high)),
        (0.9 * cochlear, canal_point(ear, 0.99, -0.30 * wide, 0.40 * high)),
        (0.85 * cochlear, canal_point(ear, 0.97, -0.30 * wide, -0.38 * high)),
    ]
    start = canal_point(ear, 0.40, -0.35, -0.1)
    parts = [pipe(Tissue.NERVE, stem, [trunk, trunk, 0.95 * trunk], soft=True)]
    for radius, end in branches:
        halfway = as_vec((np.array(start) + 2 * np.array(end)) / 3)
        bent = (halfway[0], 0.3 * halfway[1] + 0.7 * end[1], 0.3 * halfway[2] + 0.7 * end[2])
        parts.append(
            pipe(Tissue.NERVE, curve([start, bent, end], 5), [radius * 1.1, radius], soft=True)
        )
    modiolus = cochlea_point(ear, (0.0, 0.0, 0.6))
    parts.append(pipe(Tissue.NERVE, [branches[0][1], modiolus], [0.9 * cochlear, 0.35], soft=True))
    return parts


def _trigeminal(rng: np.random.Generator) -> list[Part]:
    """V from the pons over the apex into Meckel's cave, where its rootlets fan out in fluid."""
    radius = bounded_normal(rng, 1.75, 0.15, 1.4, 2.1)
    dx, dy, dz = (float(v) for v in rng.normal(0, 0.6, 3))
    root, ridge = (13.0, 4.0 + dy, 4.5 + dz), (17.5 + 0.5 * dx, 14.0, 5.6 + dz)
    cave = (19.8 + dx, 22.5 + dy, 3.6 + dz)
    line = curve([root, ridge, (19.3 + dx, 19.0 + dy, 4.6 + dz)], 7)

    def hollow(points: Tensor) -> Tensor:
        return ellipsoid(points, cave, MECKEL_MM)

    def wall(points: Tensor) -> Tensor:
        return hollow(points) - 0.7

    room = box_about([cave], 7.5)
    rootlets = [
        (cave[0] + across, cave[1] + 3.5, cave[2] + up)
        for across, up in ((-1.2, -0.8), (0.0, 0.2), (1.2, -1.0), (0.6, -1.8))
    ]
    return [
        Part(Tissue.DURA, near(wall, room), room, soft=True),
        Part(Tissue.CSF, near(hollow, room), room, soft=True),
        pipe(Tissue.CSF, line[2:], [radius + 0.9], soft=True),
        pipe(Tissue.NERVE, line, [radius, radius, 0.8 * radius], soft=True),
        *(pipe(Tissue.NERVE, [line[-1], end], [0.7, 0.4], soft=True) for end in rootlets),
    ]


def _abducens_and_lower(rng: np.random.Generator) -> list[Part]:
    """VI up the clivus; IX and X side by side to the jugular foramen."""
    dx, dy, dz = (float(v) for v in rng.normal(0, 0.6, 3))
    sixth = curve([(5.0 + dx, 7.0, -12.0), (7.0 + dx, 12.0 + dy, -5.0), (10.0, 17.5, 4.0)], 6)
    ninth = curve([(11.0, -4.0, -7.0 + dz), (18.0, -4.5 + dy, -8.5 + dz), (24.5, -4.5, -10.5)], 6)
    tenth = [(x + 0.3, y - 1.5, z - 1.4) for x, y, z in ninth]
    return [
        pipe(Tissue.NERVE, sixth, [0.35], soft=True),
        pipe(Tissue.NERVE, ninth, [0.6], soft=True),
        pipe(Tissue.NERVE, tenth, [0.6, 0.7], soft=True),
    ]
