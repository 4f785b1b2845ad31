"""The inner ears: canal, nerves, cochlea, vestibule.

Written for the left ear; `Part.side` mirrors. Every ear is drawn anew, so that the left and
the right one differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.structures import Structure
from training.phantom.appearance import Tissue
from training.phantom.shapes import (
    Distance,
    Part,
    Point,
    either,
    ellipsoid,
    pipe,
    tube,
)

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ear:
    """Where one ear's canal runs and how wide it is."""

    side: int
    porus: Vector  # (3,) mm
    axis: Vector  # (3,) unit vector from the porus to the fundus
    length_mm: float
    porus_radius_mm: float
    fundus_radius_mm: float

    def at(self, along_mm: float, forward_mm: float = 0.0, up_mm: float = 0.0) -> Point:
        """A point beside the canal's axis, ``along_mm`` from the porus."""
        x, y, z = self.porus + along_mm * self.axis + (0, forward_mm, up_mm)
        return float(x), float(y), float(z)

    def canal(self, start_mm: float, end_mm: float, extra_mm: float = 0.0) -> Distance:
        """The canal between two depths, ``extra_mm`` wider than drawn."""
        depths = np.linspace(start_mm, end_mm, 4)
        points = np.array([self.at(float(depth)) for depth in depths], dtype=np.float32)
        radii = np.interp(
            depths, [0, self.length_mm], [self.porus_radius_mm, self.fundus_radius_mm]
        )
        return tube(points, radii + extra_mm)


def draw_ear(rng: np.random.Generator, side: int) -> Ear:
    """Canal about 10 mm long and 5 to 6 mm wide, running up to 25 degrees forward."""
    angle = np.radians(rng.uniform(-5, 22))
    return Ear(
        side=side,
        porus=np.array([25.8, 0.0, 0.0]) + rng.normal(0, (0.8, 0.8, 0.8)),
        axis=np.array([np.cos(angle), np.sin(angle), 0.0]),
        length_mm=rng.uniform(9, 11.5),
        porus_radius_mm=rng.uniform(2.3, 3.3),
        fundus_radius_mm=rng.uniform(1.6, 2.4),
    )


def ear_parts(rng: np.random.Generator, ear: Ear, weak_fluid: bool) -> list[Part]:
    """The inner ear; ``weak_fluid`` dims the labyrinth, as beside a tumour."""
    fluid = rng.uniform(0.4, 0.85) if weak_fluid else 1.0
    block = ellipsoid((40, 2, -1), (14, 11, 11))
    return [
        Part(Tissue.BONE, block, (40, 2, -1), 14, ear.side),
        *_labyrinth(rng, ear, fluid),
        Part(Tissue.CSF, ear.canal(-3, ear.length_mm - 1.5), ear.at(4), 12, ear.side),
        *_nerves(rng, ear),
        *_cochlea(rng, ear, fluid),
    ]


def _nerves(rng: np.random.Generator, ear: Ear) -> list[Part]:
    """VII above and before VIII; four branches in the lateral third."""
    brainstem = (11.5, 0.5, -3.0)
    end, split = ear.length_mm, ear.length_mm * 0.6
    gap = rng.uniform(0.8, 1.3)
    facial, vestibular = rng.uniform(0.4, 0.6), rng.uniform(0.6, 0.95)
    branches = [(gap, gap), (gap, -gap), (-gap, gap), (-gap, -gap)]
    paths = [
        ([brainstem, ear.at(0, gap, gap / 2), ear.at(split, gap, gap)], facial),
        ([brainstem, ear.at(0, -gap / 2, -gap / 2), ear.at(split, -gap / 2, -gap / 2)], vestibular),
    ]
    paths += [
        ([ear.at(split, y / 2, z / 2), ear.at(end, y * 0.8, z * 0.8)], facial) for y, z in branches
    ]
    return [pipe(Tissue.NERVE, points, radius, ear.side) for points, radius in paths]


def _labyrinth(rng: np.random.Generator, ear: Ear, fluid: float) -> list[Part]:
    """Vestibule and semicircular canals: as bright as the cochlea, but not labelled."""
    centre = ear.at(ear.length_mm + rng.uniform(5.5, 7), -2.5, 0)
    anterior = np.add(centre, (1.5, 0.5, 4.0))
    posterior = np.add(centre, (4.0, -4.5, 1.0))
    lateral = np.add(centre, (4.0, -1.0, 0.5))
    normals = [(0.79, -0.59, -0.18), (-0.67, -0.70, -0.26), (-0.04, -0.32, 0.95)]
    arcs = zip((anterior, posterior, lateral), normals, (3.2, 3.1, 2.3), strict=True)
    radii = (2.3, 1.5, 2.3)
    parts = [Part(Tissue.PERILYMPH, ellipsoid(centre, radii), centre, 3, ear.side, opacity=fluid)]
    for middle, normal, radius in arcs:
        first, second = _basis(np.array(normal), middle - np.array(centre))
        angles = np.radians(np.linspace(-130, 130, 12))[:, None]
        points = middle + radius * (np.cos(angles) * first + np.sin(angles) * second)
        thin = np.full(len(points), rng.uniform(0.5, 0.7))
        at = (float(middle[0]), float(middle[1]), float(middle[2]))
        shape = tube(points.astype(np.float32), thin)
        parts.append(Part(Tissue.PERILYMPH, shape, at, 4.5, ear.side, opacity=fluid))
    return parts


def _basis(normal: Vector, towards: Vector) -> tuple[Vector, Vector]:
    """Two unit vectors across ``normal``, the first as near to ``towards`` as it goes."""
    normal = normal / np.linalg.norm(normal)
    first = towards - (towards @ normal) * normal
    first /= np.linalg.norm(first)
    return first, np.cross(normal, first)


def spiral() -> tuple[Vector, Vector]:
    """The cochlea's centre line (N, 3) with its axis along z, and the tube's radii (N,).

    Radius of the outer wall after Clark et al. 2011, a fit to human cochleae, 2.5 turns.
    """
    turn = np.concatenate([np.linspace(10.3, 100, 6)[:-1], np.linspace(100, 910, 34)])
    early = 7.967 * (1 - 0.1287 * np.log(turn - 5))
    wall = np.where(turn < 100, early, 3.762 * np.exp(-0.001317 * turn))
    radii = np.linspace(1.05, 0.65, turn.size)
    reach, angle = wall - 0.6 * radii, np.radians(turn)
    height = 0.00382 * (turn - 5)
    line = np.stack([reach * np.cos(angle), reach * np.sin(angle), height], axis=1)
    return line - [0.6, 0, 1.7], radii


def _cochlea(rng: np.random.Generator, ear: Ear, fluid: float) -> list[Part]:
    """Fluid turns around a darker core; the label fills the core, as manual ones do."""
    line, radii = spiral()
    size = rng.uniform(0.88, 0.98)
    axis = np.array([0.64, 0.75, -0.15]) + rng.normal(0, 0.12, 3)
    first, second = _basis(axis, np.array([6.0, -6.0, 1.0]))
    axis = axis / np.linalg.norm(axis)
    centre = np.array(ear.at(ear.length_mm + 1.6, 4.9, -1.2)) + rng.normal(0, 0.5, 3)
    points = centre + size * (line @ np.stack([first, second, axis]))
    at = (float(centre[0]), float(centre[1]), float(centre[2]))
    envelope = tube(points.astype(np.float32), size * (radii + 0.12))
    core_ends = [centre - 1.6 * size * axis, centre + 1.4 * size * axis]
    core = tube(np.array(core_ends, dtype=np.float32), np.array([2.1, 1.0]) * size)
    filled = either(envelope, core)
    lumen = tube(points.astype(np.float32), size * (radii - rng.uniform(0.02, 0.15)))
    label = Structure.COCHLEA
    return [
        Part(Tissue.MODIOLUS, filled, at, 7.5, ear.side, label),
        Part(Tissue.PERILYMPH, lumen, at, 7.5, ear.side, opacity=fluid),
    ]
