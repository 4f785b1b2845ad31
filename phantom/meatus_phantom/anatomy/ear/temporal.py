"""About the petrous pyramid: mastoid, middle ear, ear canal, carotid artery and sinuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.ear.labyrinth import labyrinth_distance
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import Line, box_about, curve, near, pipe, pipe_distance
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import both, ellipsoid
from meatus_phantom.tissues import Tissue

MASTOID_CENTRE, MASTOID_HALF = (54.5, -10.0, -9.0), (11.5, 15.0, 17.0)
# Along the skull's wall the sigmoid sinus is wider than across it.
WALL = (0.30, -0.95)
STRETCH = 1.4
MASTOID_BOX = Box((44.0, -24.0, -24.0), (65.0, 4.0, 7.0))


def mastoid_distance() -> Distance:
    return lambda points: ellipsoid(points, MASTOID_CENTRE, MASTOID_HALF)


def temporal_parts(ear: Ear, seed: int, side: int) -> list[Part]:
    """What lies in and about a left petrous bone."""
    rng = stream(seed, "temporal", side)
    return [
        *_cells(ear, rng),
        *_middle_ear(ear, rng),
        *_carotid(rng),
        *_sinuses(rng, side),
    ]


def _cells(ear: Ear, rng: np.random.Generator) -> list[Part]:
    """Air cells with faint walls; in one ear of ten some hold fluid."""
    comb = draw_waves(rng, 5.5, 8)
    patches = draw_waves(rng, 13.0, 4)
    mastoid, labyrinth = mastoid_distance(), labyrinth_distance(ear)

    def cells(points: Tensor) -> Tensor:
        # The labyrinth's own capsule is dense.
        return both(mastoid(points) + 2.0, 1.0 - labyrinth(points), 1.2 * (comb(points) - 0.3))

    def walls(points: Tensor) -> Tensor:
        return both(mastoid(points) + 2.0, comb(points).abs() - 0.35)

    def wet(points: Tensor) -> Tensor:
        return both(cells(points), 2.5 * patches(points))

    box, faint = MASTOID_BOX, float(rng.uniform(0.03, 0.15))
    parts = [
        Part(Tissue.AIR, near(cells, box), box),
        Part(Tissue.MUCOSA, near(walls, box), box, opacity=faint),
    ]
    if rng.random() < 0.10:
        full = float(rng.uniform(0.5, 1))
        parts.append(Part(Tissue.EFFUSION, near(wet, box), box, opacity=full))
    return parts


def _middle_ear(ear: Ear, rng: np.random.Generator) -> list[Part]:
    x, y, z = ear.vestibule
    cavity = (x + 8.3, y + 4.5, z - 2.0)
    start, end = (x + 10.5, y + 4.0, z - 4.0), (77.0, 2.0 + float(rng.normal(0, 2)), -1.0)
    middle = (64.0, 0.5 * (y + 4.0 + end[1]) + 1.5, -1.0)
    canal = curve([start, middle, end], 7)
    width = float(rng.uniform(2.9, 3.6))
    tegmen = Box((x + 4.0, y - 3.0, z - 10.0), (x + 13.0, y + 12.0, z + 5.0))
    return [
        pipe(Tissue.BONE, canal[:4], [width + 2.0]),
        # The opening has no wall beyond the skin.
        replace(pipe(Tissue.SKIN, canal[3:], [width + 1.2]), into=frozenset(Tissue) - {Tissue.AIR}),
        pipe(Tissue.AIR, canal, [width]),
        Part(Tissue.AIR, near(lambda at: ellipsoid(at, cavity, (2.4, 4.5, 6.0)), tegmen), tegmen),
    ]


def _carotid(rng: np.random.Generator) -> list[Part]:
    """Up through the skull base, forwards and medially in the bone, up beside the clivus."""
    jitter = rng.normal(0, 0.7, 3)
    points = np.array(
        [
            (30, 9, -32),
            (30, 9.5, -14),
            (27.5, 12, -6.5),
            (21, 17, -5.5),
            (14, 21, -4),
            (12.8, 22.5, 2),
        ]
    )
    line = curve([(float(a), float(b), float(c)) for a, b, c in points + jitter], 14)
    radius = bounded_normal(rng, 2.3, 0.25, 2.0, 3.0)
    return [
        pipe(Tissue.BONE, line[:11], [radius + 1.4]),
        pipe(Tissue.DURA, line, [radius + 0.5]),
        pipe(Tissue.ARTERY, line, [radius]),
    ]


def _sinuses(rng: np.random.Generator, side: int) -> list[Part]:
    """Sigmoid sinus into the jugular bulb; the right one is often the larger."""
    size = bounded_normal(rng, 0.95 if side > 0 else 1.1, 0.15, 0.6, 1.4)
    top = float(rng.uniform(-13.0, -8.5))
    bulb_mm = min(3.9 * size, 5.5)
    sigmoid = curve(
        [(53, -31, 6.5), (51.5, -23, -1), (49.5, -18, -9), (40, -14, -18), (29, -8, -18)], 14
    )
    bulb: Line = [(26.0, -6.5, top - bulb_mm), (26.0, -5.0, -24.0), (27.0, -3.0, -40.0)]
    flat = _flattened(sigmoid, [4.2 * size, 4.0 * size, 3.4 * size])
    room = box_about(sigmoid, 4.2 * size * STRETCH + 1.0)
    return [
        Part(Tissue.DURA, near(lambda points: flat(points) - 0.5, room), room),
        pipe(Tissue.BONE, bulb, [bulb_mm + 1.2]),
        pipe(Tissue.VEIN, bulb, [bulb_mm, 0.9 * bulb_mm]),
        Part(Tissue.VEIN, near(flat, room), room),
    ]


def _flattened(line: Line, radii: Sequence[float]) -> Distance:
    """A tube widened along the wall; its distances are up to the stretch too small."""
    u, v = WALL

    def pressed(points: Tensor) -> Tensor:
        along = (1 - 1 / STRETCH) * (u * points[0] + v * points[1])
        return torch.stack([points[0] - u * along, points[1] - v * along, points[2]])

    narrow = pressed(torch.tensor(line).T).T.tolist()
    tube = pipe_distance([(x, y, z) for x, y, z in narrow], radii)
    return lambda points: tube(pressed(points))
