"""Tumours drawn from nothing: a plug in the canal and a lobed ball before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.ear.canal import canal_distance
from meatus_phantom.anatomy.grids import evaluate, lattice, volume_mm3
from meatus_phantom.anatomy.landmarks import Ear, unit
from meatus_phantom.anatomy.sides import as_vec
from meatus_phantom.anatomy.tumour.place import Room
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance
from meatus_phantom.shapes import Vec, ellipsoid, smooth_both, smooth_union, vec

# Of a ball of radius 1 before lobes; the unit shape's volume is measured on a grid of this step.
UNIT_STEP = 0.12


class Koos(IntEnum):
    I = 1  # noqa: E741 - in the canal alone
    II = 2  # in the cistern, free of the brainstem
    III = 3  # touches the brainstem
    IV = 4  # displaces it


@dataclass(frozen=True)
class Size:
    """Whole volume of a grade: mean and SD in mm3 (Mindermann 2013, 235 patients).

    Its shares are those of a cohort, not of that series (14, 30, 30 and 26 %): the challenge's
    sites operate on large tumours too, and the median beyond the porus is 1.05 cm3.
    """

    share: float
    mean_mm3: float
    sd_mm3: float

    def draw(self, rng: np.random.Generator) -> float:
        """A lognormal volume of this mean and SD, within the published range 20 to 15,000 mm3."""
        variance = math.log1p((self.sd_mm3 / self.mean_mm3) ** 2)
        middle = math.log(self.mean_mm3) - variance / 2
        return float(np.clip(rng.lognormal(middle, math.sqrt(variance)), 20, 15_000))


SIZES = {
    Koos.I: Size(0.0, 250, 300),
    Koos.II: Size(0.25, 570, 540),
    Koos.III: Size(0.38, 1820, 1880),
    Koos.IV: Size(0.37, 4170, 2750),
}


def draw_koos(rng: np.random.Generator) -> Koos:
    """A grade with a part in the cistern."""
    grades = [Koos.II, Koos.III, Koos.IV]
    shares = np.array([SIZES[grade].share for grade in grades])
    return grades[int(rng.choice(3, p=shares / shares.sum()))]


def procedural(rng: np.random.Generator, room: Room, koos: Koos) -> tuple[Distance, Box]:
    """A tumour of grade ``koos`` at a left ear, not yet limited to the room, and where it lies."""
    plug = _plug(rng, room, koos)
    reach = room.ear.length_mm + 4
    if koos is Koos.I:
        short = float(rng.uniform(0.2, 1.5))  # of the porus' plane

        def inside(points: Tensor) -> Tensor:
            return smooth_both(plug(points), room.medial(points) + short, 1.0)

        return inside, _about(room.ear.porus, reach)
    whole = SIZES[koos].draw(rng)
    inner = plug_mm3(plug, room)
    outer = max(whole - inner, 0.15 * whole)
    bulk, reach_bulk = _bulk(rng, room, outer)
    blend = float(rng.uniform(0.8, 2.0))

    def distance(points: Tensor) -> Tensor:
        return smooth_union(bulk(points), plug(points), blend)

    return distance, _about(room.ear.porus, max(reach, reach_bulk))


def plug_mm3(plug: Distance, room: Room) -> float:
    """The plug's volume lateral of the porus' plane."""
    points = lattice(_about(room.ear.porus, room.ear.length_mm + 4), 0.8)
    values = torch.maximum(evaluate(plug, points), evaluate(room.medial, points))
    return volume_mm3(values, 0.8)


def _plug(rng: np.random.Generator, room: Room, koos: Koos) -> Distance:
    """Fills the canal, widens it or leaves a rim; a cap of fluid stays at the fundus.

    The cap is 2.2 mm long in the mean (0 to 7.3, Sullivan 2019).
    """
    ear, lumen = room.ear, canal_distance(room.ear)
    length = ear.length_mm
    cap = float(np.clip(rng.gamma(1.6, 1.4), 0, 7.3))
    alone = koos is Koos.I
    start = float(rng.uniform(-2.0, 0.3 * length)) if alone else -3.0
    end = max(length - cap, start + (3.0 if alone else 5.0 + 2.0 * rng.uniform()))
    extra = float(rng.normal(0.5, 0.5)) if alone else float(rng.normal(0.2, 0.6))
    extra = float(np.clip(extra, -1.0, room.widening_mm))
    rough, lumps = float(rng.uniform(0.05, 0.3)), draw_waves(rng, 5.0, 4)

    def distance(points: Tensor) -> Tensor:
        away = points - vec(ear.porus, points)
        along = (away * vec(ear.axis, points)).sum(0)
        wall = lumen(points) - extra * (1.2 - 0.6 * (along / length).clamp(0, 1))
        ends = torch.maximum(start - along, along - end)
        return smooth_both(wall, ends, 1.5) + rough * lumps(points)

    return distance


def _bulk(rng: np.random.Generator, room: Room, outer_mm3: float) -> tuple[Distance, float]:
    """The part in the cistern with this volume medial of the porus' plane, and its reach.

    The shape is drawn at unit size and scaled about the porus, which keeps its plane: the volume
    is the cube of the scale times the unit shape's.
    """
    ear, unit_shape = room.ear, _unit_bulk(rng, room.ear)
    points = lattice(_about((0.0, 0.0, 0.0), 3.0), UNIT_STEP)
    lateral = -(points * vec(ear.porus_normal, points)).sum(0)
    cut = torch.maximum(evaluate(unit_shape, points), lateral)
    scale = float(np.cbrt(outer_mm3 / max(volume_mm3(cut, UNIT_STEP), 1e-3)))

    def distance(points: Tensor) -> Tensor:
        return unit_shape((points - vec(ear.porus, points)) / scale) * scale

    return distance, 3.0 * scale


def _unit_bulk(rng: np.random.Generator, ear: Ear) -> Distance:
    """A ball of radius 1 medial of the porus, which is the origin, and a little behind; lobed."""
    into_cistern, back = np.array(ear.porus_normal), np.array([-0.6, -0.8, 0.0])
    middle = into_cistern * rng.uniform(0.35, 0.7) + back * rng.uniform(0, 0.25)
    middle += rng.normal(0, (0.08, 0.08, 0.14))
    lobes = [(as_vec(middle), as_vec(np.exp(rng.normal(0, 0.12, 3))))]
    for _ in range(int(rng.integers(0, 4))):
        away = np.array(unit(tuple(rng.normal(0, 1, 3)))) * rng.uniform(0.5, 0.9)
        lobes.append((as_vec(middle + away), as_vec(rng.uniform(0.3, 0.65) * np.ones(3))))
    rough, lumps = float(rng.uniform(0.01, 0.05)), draw_waves(rng, float(rng.uniform(0.8, 1.4)))

    def distance(points: Tensor) -> Tensor:
        joined = ellipsoid(points, *lobes[0])
        for lobe in lobes[1:]:
            joined = smooth_union(joined, ellipsoid(points, *lobe), 0.15)
        return joined + rough * lumps(points)

    return distance


def _about(centre: Vec, reach: float) -> Box:
    return Box(centre, centre).grown(reach)
