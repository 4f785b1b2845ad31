"""The tumour: a plug in the canal and, in two of three, a lobulated ball before it."""

from __future__ import annotations

import numpy as np

from inference.geometry import Array
from inference.structures import Structure
from training.phantom.appearance import Tissue
from training.phantom.ear import Ear
from training.phantom.shapes import Distance, Part, Plane, ball, both, either, ellipsoid


def tumour_parts(rng: np.random.Generator, ear: Ear, fossa: Distance) -> list[Part]:
    """A tumour of the canal and, in two of three, of the cistern before it.

    Volumes beyond the porus follow published radiosurgery series (lognormal); intra- and
    extra-meatal parts meet at a plane through the porus' lips.
    """
    outside = rng.uniform() > 0.33
    volume_mm3 = float(np.clip(rng.lognormal(np.log(900), 1.1), 60, 16000))
    if not outside and rng.uniform() < 0.4:
        volume_mm3, outside = rng.uniform(15, 90), True  # mostly inside, peeping out
    radius = (volume_mm3 / 4.19) ** (1 / 3)
    inside = _plug(rng, ear, outside)
    shape = either(inside, _bulk(rng, ear, radius, fossa)) if outside else inside
    tilt = np.arctan2(ear.axis[1], ear.axis[0]) + np.radians(rng.uniform(5, 35))
    reach = 2.2 * radius + 14 if outside else 14.0
    cleft = rng.uniform(0.3, 1.5)
    parts = []
    if outside:
        room = _pushed(shape, fossa, cleft)
        parts.append(Part(Tissue.CSF, room, ear.at(0), reach, ear.side, opacity=0.8))
    # The ball may bulge along the bone behind the porus: only the plug is intra-meatal.
    halves = (
        (Structure.EXTRA_MEATAL, shape),
        (Structure.INTRA_MEATAL, _lateral(inside, ear, float(tilt))),
    )
    for label, half in halves:
        parts.append(Part(Tissue.TUMOUR, half, ear.at(0), reach, ear.side, label))
    if outside and radius > 4 and rng.uniform() < 0.2:
        parts += _cysts(rng, ear, radius, shape)
    return parts


def _plug(rng: np.random.Generator, ear: Ear, outside: bool) -> Distance:
    """The part in the canal: fills it, widens it or leaves a rim; a fluid cap at the fundus."""
    cap = float(np.clip(rng.gamma(2, 1.1), 0, 6))
    start = -1.0 if outside else rng.uniform(2.5, 5)
    end = max(ear.length_mm - 1.5 - cap, start + 1.5)
    extra = rng.uniform(-0.4, 0.8) if outside else rng.uniform(-0.7, 0.6)
    plug = ear.canal(start, end, extra)
    return lambda plane: np.asarray(plug(plane) + 0.2 * plane.ripple)


def _bulk(rng: np.random.Generator, ear: Ear, radius: float, fossa: Distance) -> Distance:
    """A lobulated ball before the porus that keeps out of the bone."""
    inward = np.array([-0.72, -0.66, 0.0]) + rng.normal(0, 0.12, 3)
    centre = ear.porus + inward * radius * rng.uniform(0.55, 0.85)
    radii = radius * np.exp(rng.normal(0, 0.12, 3)) * 1.08
    main = ellipsoid((centre[0], centre[1], centre[2]), (radii[0], radii[1], radii[2]))
    lobe = centre + radius * 0.6 * rng.uniform(-1, 1, 3)
    second = ellipsoid((lobe[0], lobe[1], lobe[2]), (radius * 0.6,) * 3)
    rough = min(0.09 * radius, 0.9) * rng.uniform(0.3, 1)
    body = either(main, second) if rng.uniform() < 0.5 else main

    def distance(plane: Plane) -> Array:
        return both(body(plane) + rough * plane.lumps, fossa(plane) + 0.4)

    return distance


def _pushed(shape: Distance, fossa: Distance, cleft_mm: float) -> Distance:
    """Fluid between the tumour and the brain that it has pushed aside."""

    def distance(plane: Plane) -> Array:
        cleft = np.clip(cleft_mm + 0.7 * plane.ripple, 0, None)
        return both(shape(plane) - cleft, fossa(plane))

    return distance


def _lateral(shape: Distance, ear: Ear, tilt: float) -> Distance:
    """The part of ``shape`` lateral of the porus' plane."""

    def distance(plane: Plane) -> Array:
        across = (plane.x - ear.porus[0]) * np.cos(tilt) + (plane.y - ear.porus[1]) * np.sin(tilt)
        return both(shape(plane), -across)

    return distance


def _cysts(rng: np.random.Generator, ear: Ear, radius: float, shape: Distance) -> list[Part]:
    """Bright pockets within the tumour; the label stays the tumour's."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        x, y, z = ear.porus + radius * (np.array([-0.6, -0.6, 0]) + rng.uniform(-0.7, 0.7, 3))
        size = radius * rng.uniform(0.2, 0.6)
        pocket = ball(Tissue.CYST, (x, y, z), (size, size * rng.uniform(0.6, 1), size), ear.side)
        within = _within(pocket.distance, shape)
        parts.append(Part(Tissue.CYST, within, pocket.centre, pocket.reach_mm, ear.side))
    return parts


def _within(pocket: Distance, shape: Distance) -> Distance:
    return lambda plane: both(pocket(plane) + 0.4 * plane.ripple, shape(plane) + 0.8)
