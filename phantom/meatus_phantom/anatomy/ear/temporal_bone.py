"""The temporal bone: petrous pyramid, clivus, mastoid, middle ear, carotid artery, sinuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.ear.canal import canal_distance
from meatus_phantom.anatomy.ear.labyrinth import labyrinth_distance
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import Line, box_about, curve, near, on_side, pipe, pipe_distance
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import both, ellipsoid, smooth_both, smooth_union, vec
from meatus_phantom.tissues import Tissue

RIDGE_MM = 8.5  # height of the upper edge, lateral to the canal
FLOOR_MM = -19.0
FILM_MM, DURA_MM = 1.3, 0.5  # of fluid and dura on the bone
CLEAR_MM = 2.2  # between marrow and the canal or the labyrinth
CORTEX_MM = 1.3
CAPSULE_MM = 0.5  # of dense bone beyond the coarse hull of the labyrinth
APEX_ALONG = (0.77, -0.64)  # along the posterior face: the marrow ends lateral to the porus
APEX_EDGE = 0.5  # below 1: marrow fades into the cortex
ISLAND_EDGE = 0.35  # below 1: islands fade into the marrow about them
PETROUS_BOX = Box((8.0, -34.0, -27.0), (69.0, 26.0, 13.0))
APEX_BOX = Box((8.0, -4.0, -19.0), (36.0, 25.0, 10.0))
CLIVUS_BOX = Box((-21.0, -8.0, -38.0), (21.0, 34.0, 22.0))

MASTOID_CENTRE, MASTOID_HALF = (54.5, -10.0, -9.0), (11.5, 15.0, 17.0)
# Along the skull's wall the sigmoid sinus is wider than across it.
WALL = (0.30, -0.95)
STRETCH = 1.4
MASTOID_BOX = Box((44.0, -24.0, -24.0), (65.0, 4.0, 7.0))


def petrous_parts(ear: Ear, seed: int) -> list[Part]:
    """One temporal bone with its marrow, air, canals and sinuses."""
    left = ear.as_left()
    pyramid = pyramid_distance(left, seed, ear.side)
    inner = _medial(pyramid)
    mastoid = mastoid_distance()
    parts = [
        Part(Tissue.CSF, _film(left, inner), PETROUS_BOX, smooth=True),
        Part(Tissue.DURA, _grown(inner, DURA_MM), PETROUS_BOX, smooth=True),
        Part(Tissue.BONE, mastoid, PETROUS_BOX, smooth=True),
        Part(Tissue.BONE, pyramid, PETROUS_BOX, smooth=True),
        *_marrow(left, pyramid, seed, ear.side),
        _mottle(left, pyramid, seed, ear.side),
        *temporal_parts(left, seed, ear.side),
    ]
    return [on_side(part, ear.side) for part in parts]


def clivus_parts(seed: int) -> list[Part]:
    """The clivus between the petrous apices, with its basal plexus on the cistern's side."""
    rng = stream(seed, "clivus")
    thick = float(rng.uniform(8, 12))
    slope = float(rng.uniform(0.25, 0.40))
    back = 15.5 + float(rng.normal(0, 0.8))
    body = _clivus(back, thick, slope)
    texture = draw_waves(stream(seed, "clivus", "texture"), 6.0, 12)

    def marrow(points: Tensor) -> Tensor:
        return body(points) + 1.2 + 0.3 * texture(points)

    def islands(points: Tensor) -> Tensor:
        return both(body(points) + 1.6, 1.5 * (texture(points) - 0.1))

    weight = float(rng.uniform(0.6, 0.85))
    return [
        Part(Tissue.CSF, _grown(body, FILM_MM), CLIVUS_BOX, smooth=True),
        Part(Tissue.DURA, _grown(body, 0.8), CLIVUS_BOX, smooth=True),
        Part(Tissue.BONE, body, CLIVUS_BOX, smooth=True),
        Part(Tissue.MARROW, near(marrow, CLIVUS_BOX), CLIVUS_BOX, opacity=weight),
        Part(Tissue.MARROW, near(islands, CLIVUS_BOX), CLIVUS_BOX, opacity=0.9),
    ]


def pyramid_distance(ear: Ear, seed: int, side: int) -> Distance:
    """The solid petrous pyramid of a left ear, with the otic capsule about its labyrinth."""
    waves = draw_waves(stream(seed, "petrous", side), 20.0)
    x, y, z = ear.vestibule
    canals = (x + 1.0, y - 1.0, z + 2.0)

    def distance(points: Tensor) -> Tensor:
        px, py, pz = points
        away = points - vec(ear.porus, points)
        behind = (away * vec(ear.porus_normal, points)).sum(0)
        # Below the canal the face runs backwards, towards the jugular foramen.
        face = behind - 0.45 * (-4.0 - pz).clamp_min(0) + 0.4 * waves(points)
        ridge = RIDGE_MM - 0.42 * (29.0 - px).clamp_min(0)
        roof = 0.97 * (pz - ridge - 0.12 * behind) + 0.3 * waves(points)
        front = 0.88 * (py - 15.0 + 0.13 * (px - 37)) + 0.46 * pz
        ends = both(px - 56.0, 11.0 - px, FLOOR_MM - pz)
        body = smooth_both(smooth_both(face, roof, 1.0), smooth_both(front, ends, 2.5), 2.0)
        body = smooth_union(body, ellipsoid(points, canals, (7.4, 7.8, 8.3)), 1.5)
        body = smooth_union(body, ellipsoid(points, ear.cochlea_centre, (7.0, 7.0, 6.6)), 1.5)
        return smooth_union(body, ellipsoid(points, (27.0, -4.0, -17.0), (9.0, 9.0, 8.5)), 3.0)

    return distance


def _clivus(back: float, thick: float, slope: float) -> Distance:
    norm = float(np.hypot(1.0, slope))

    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        # Its sides curve backwards to meet the petrous apices.
        depth = (y - back - slope * z + 0.012 * x**2) / norm
        slab = (depth - thick / 2).abs() - thick / 2
        # Narrower above, where the carotid arteries run on both sides of it.
        half = 17.0 - 6.5 * ((z + 6) / 7).clamp(0, 1)
        edge = both(x.abs() - half, -36.0 - z, z - 14.0)
        return smooth_both(slab, edge, 3.0)

    return distance


def _marrow(ear: Ear, pyramid: Distance, seed: int, side: int) -> list[Part]:
    """Lumpy marrow in the apex: alike on both sides, clear of canal and labyrinth."""
    shared, own = stream(seed, "apex"), stream(seed, "apex", side)
    coarse = _shifted(draw_waves(shared, 8.0, 6), own)
    fine = _shifted(draw_waves(shared, 4.5, 12), own)
    reach = float(shared.uniform(-1.5, 4.0) + own.normal(0, 0.6))
    airy = float(own.uniform(0.4, 1.2)) if shared.random() < 0.2 else 0.0
    canal, labyrinth = canal_distance(ear), labyrinth_distance(ear)

    def room(points: Tensor) -> Tensor:
        lumpy = coarse(points)
        clear = CLEAR_MM - torch.minimum(canal(points), labyrinth(points))
        beside = APEX_ALONG[0] * (points[0] - ear.porus[0]) + APEX_ALONG[1] * points[1]
        lateral = torch.maximum(beside - reach, points[0] - 34.0) + 1.2 * lumpy
        lateral = lateral + 0.5 * (-6.0 - points[2]).clamp_min(0)
        inside = smooth_both(pyramid(points) + CORTEX_MM + 0.4 * lumpy, lateral, 1.5)
        return both(APEX_EDGE * (inside + airy * (lumpy + 0.5).clamp_min(0)), clear)

    def islands(points: Tensor) -> Tensor:
        return ISLAND_EDGE * (fine(points) - 0.2)

    box, marrow = APEX_BOX, frozenset({Tissue.MARROW})
    weights = float(shared.uniform(0.52, 0.75)), float(shared.uniform(0.5, 0.9))
    return [
        Part(Tissue.MARROW, near(room, box), box, opacity=weights[0]),
        Part(Tissue.MARROW, near(islands, box), box, opacity=weights[1], into=marrow),
    ]


def _mottle(ear: Ear, pyramid: Distance, seed: int, side: int) -> Part:
    """Spongy bone and lined cells about the dense capsule: grey specks, more in some heads."""
    shared, own = stream(seed, "mottle"), stream(seed, "mottle", side)
    specks = _shifted(draw_waves(shared, 4.0, 12), own)
    patches = _shifted(draw_waves(shared, 16.0, 5), own)
    canal, labyrinth = canal_distance(ear), labyrinth_distance(ear)

    def room(points: Tensor) -> Tensor:
        clear = CAPSULE_MM - torch.minimum(canal(points), labyrinth(points))
        rare = torch.maximum(ISLAND_EDGE * specks(points), patches(points) - 0.5)
        return both(pyramid(points) + CAPSULE_MM, clear, rare)

    box, faint = PETROUS_BOX, float(shared.uniform(0.0, 0.5))
    return Part(Tissue.MARROW, near(room, box), box, opacity=faint, into=frozenset({Tissue.BONE}))


def _shifted(waves: Waves, rng: np.random.Generator) -> Waves:
    """The same texture a little off its place: the other side's is alike, not equal."""
    step = rng.normal(0, 1.5, 3)
    numbers = np.array(waves.numbers)
    return replace(waves, phases=tuple(np.array(waves.phases) + numbers @ step))


def _medial(pyramid: Distance) -> Distance:
    """The pyramid's faces towards the brain: no film runs on the skull's outer side."""

    def distance(points: Tensor) -> Tensor:
        return both(pyramid(points), points[0] - 49.0, -15.0 - points[2])

    return distance


def _film(ear: Ear, inner: Distance) -> Distance:
    """Fluid on the bone: thick towards the cistern, thin towards the temporal lobe."""

    def distance(points: Tensor) -> Tensor:
        behind = ((points - vec(ear.porus, points)) * vec(ear.porus_normal, points)).sum(0)
        return inner(points) - DURA_MM - (FILM_MM - DURA_MM) * (1.2 + behind / 4).clamp(0.35, 1)

    return distance


def _grown(inner: Distance, margin_mm: float) -> Distance:
    return lambda points: inner(points) - margin_mm


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
