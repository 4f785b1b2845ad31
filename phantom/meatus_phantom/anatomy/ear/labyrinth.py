"""The inner ear: cochlea with modiolus and septa, vestibule and semicircular canals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meatus.structures import Structure
from meatus_phantom.anatomy.ear.canal import canal_point
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import (
    EDGE_MM,
    FAR_MM,
    as_vec,
    box_about,
    near,
    on_side,
    pipe,
    pipe_distance,
)
from meatus_phantom.parts import Distance, Marked, Part, mirrored
from meatus_phantom.shapes import Vec, capsule, ellipsoid, smooth_union, union, vec
from meatus_phantom.tissues import Tissue

VESTIBULE_MM = (1.6, 2.5, 2.4)  # half axes: across, along the bone's posterior face, upwards
VESTIBULE_YAW_DEG = 18.0
AMPULLA_MM = 1.0
ARC_POINTS = 12
# Normals of the left semicircular canals (PMC2504595).
ANTERIOR = (0.79, -0.59, -0.18)
POSTERIOR = (-0.67, -0.70, -0.26)
LATERAL = (-0.04, -0.32, 0.95)

FIRST_DEG, LAST_DEG = 10.3, 910.0  # 2.5 turns
# The spiral's origin lies on the modiolus at the base; the hull's centre of gravity is here.
HULL_CENTRE = (0.68, 0.53, 0.85)
TOWARDS_VESTIBULE = (0.66, -0.74, 0.11)  # where a left cochlea's basal turn begins
LABEL_MARGIN_MM = 0.05  # contours lie on the outer side of the lumen's edge


def labyrinth_parts(ear: Ear, affected: bool) -> list[Part]:
    """All fluid of one inner ear; ``affected`` is the tumour's side."""
    fluid = Tissue.PERILYMPH_AFFECTED if affected else Tissue.PERILYMPH
    left = ear.as_left()
    hall = box_about([left.vestibule], 3.4)
    parts = [
        *_canals(left, fluid),
        Part(fluid, near(_vestibule(left), hall), hall),
        *cochlea_parts(left, fluid),
        *_openings(left, fluid),
    ]
    return [on_side(part, ear.side) for part in parts]


def cochlea_marked(ear: Ear) -> Marked:
    """The cochlea as annotators draw it: modiolus and septa included."""
    left = ear.as_left()
    line, radii = turns(left)
    box = box_about(line, max(radii) + 1.0)
    hull = cochlea_hull(left, LABEL_MARGIN_MM)
    if ear.side < 0:
        box = box.mirrored()
    return Marked(Structure.COCHLEA, mirrored(hull, ear.side), box)


def labyrinth_distance(ear: Ear) -> Distance:
    """A coarse hull of a left labyrinth, for bone to stay about and marrow away from."""
    x, y, z = ear.vestibule
    canals = (x + 1.2, y - 1.2, z + 1.8)

    def distance(points: Tensor) -> Tensor:
        cochlea = ellipsoid(points, ear.cochlea_centre, (5.0, 5.0, 4.6))
        return union(cochlea, ellipsoid(points, canals, (5.0, 5.8, 5.8)))

    return distance


def _vestibule(ear: Ear) -> Distance:
    yaw = np.radians(VESTIBULE_YAW_DEG)
    c, s = float(np.cos(yaw)), float(np.sin(yaw))

    def distance(points: Tensor) -> Tensor:
        x, y, z = points - vec(ear.vestibule, points)
        turned = points.new_empty(points.shape)
        turned[0], turned[1], turned[2] = c * x + s * y, c * y - s * x, z
        return ellipsoid(turned, (0.0, 0.0, 0.0), VESTIBULE_MM)

    return distance


def _canals(ear: Ear, fluid: Tissue) -> list[Part]:
    """Arcs whose ends run into the vestibule; two of them share the common crus."""
    anterior, posterior, lateral = ear.semicircular_mm
    thin = ear.semicircular_lumen_mm / 2
    crus, crus_top = _beside(ear, -0.8, -1.5, 0.8), _beside(ear, -0.7, -1.9, 2.9)
    front, side = _beside(ear, 0.9, 1.5, 1.6), _beside(ear, 1.3, 1.3, 0.6)
    low, back = _beside(ear, 0.3, -1.8, -1.7), _beside(ear, 1.0, -1.6, 0.3)
    arcs = [
        (front, _arc(ear, ANTERIOR, anterior, _beside(ear, 0.7, 0.4, 3.5), front, crus_top), crus),
        (low, _arc(ear, POSTERIOR, posterior, _beside(ear, 1.3, -3.7, 0.6), low, crus_top), crus),
        (side, _arc(ear, LATERAL, lateral, _beside(ear, 3.2, -1.0, 0.7), side, back), back),
    ]
    parts = []
    for ampulla, arc, end in arcs:
        line = [*arc, end]
        parts.append(pipe(fluid, line, [thin]))
        swelling = [ampulla, arc[1]]
        parts.append(pipe(fluid, swelling, [AMPULLA_MM, thin]))
    return parts


def _arc(ear: Ear, normal: Vec, radius_mm: float, centre: Vec, start: Vec, end: Vec) -> list[Vec]:
    """From ``start`` the long way round ``centre`` to ``end``, the ends drawn into the circle."""
    across = np.array(normal) + np.array(ear.semicircular_tilt)
    across /= np.linalg.norm(across)
    middle = np.array(centre)
    first = _in_plane(np.array(start) - middle, across)
    second = np.cross(across, first)
    last = _in_plane(np.array(end) - middle, across)
    sweep = float(np.arctan2(last @ second, last @ first))
    sweep = sweep - 2 * np.pi if sweep > 0 else sweep + 2 * np.pi  # the long way
    angles = np.linspace(0.12 * sweep, 0.9 * sweep, ARC_POINTS)[:, None]
    ring = middle + radius_mm * (np.cos(angles) * first + np.sin(angles) * second)
    return [start, *(as_vec(point) for point in ring), end]


def _in_plane(towards: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = towards - (towards @ across) * across
    return flat / np.linalg.norm(flat)


def _openings(ear: Ear, fluid: Tissue) -> list[Part]:
    """Basal turn to vestibule; fundus to modiolus and to vestibule."""
    line, radii = turns(ear)
    x, y, z = ear.vestibule
    half_mm = ear.nerve_canal_mm / 2
    low_front = canal_point(ear, 0.93, 0.9, -0.7)
    modiolus = cochlea_point(ear, (0.0, 0.0, 0.3))
    high_back = canal_point(ear, 0.96, -0.7, 0.8)
    return [
        pipe(fluid, [line[0], (x - 0.2, y + 0.8, z - 0.9)], [radii[0] - 0.15, 0.7]),
        pipe(Tissue.CSF, [low_front, modiolus], [half_mm, 0.9 * half_mm]),
        pipe(Tissue.CSF, [high_back, (x - 0.9, y + 0.4, z + 0.9)], [0.45, 0.12]),
    ]


def _beside(ear: Ear, x: float, y: float, z: float) -> Vec:
    """A point beside a left vestibule."""
    return ear.vestibule[0] + x, ear.vestibule[1] + y, ear.vestibule[2] + z


def spiral() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre line (N, 3) of the turns, axis along z, and the tube's radii (N,), mm.

    The outer wall's radius after Clark et al. 2011 (a fit to human cochleae).
    """
    turn = np.concatenate([np.geomspace(5.3, 95, 7)[:-1] + 5, np.linspace(100, LAST_DEG, 33)])
    early = 7.967 * (1 - 0.1287 * np.log(turn - 5))
    wall = np.where(turn < 100, early, 3.762 * np.exp(-0.001317 * turn))
    radii = np.interp(turn, [FIRST_DEG, LAST_DEG], [1.05, 0.65])
    reach, angle = wall - 0.6 * radii, np.radians(turn)
    height = 0.00382 * (turn - 5)
    return np.stack([reach * np.cos(angle), reach * np.sin(angle), height], axis=1), radii


def cochlea_frame(ear: Ear) -> NDArray[np.float64]:
    """Rows: where a left cochlea's basal turn begins, where it goes (downwards), and its axis."""
    axis = np.array(ear.cochlea_axis)
    first = np.array(TOWARDS_VESTIBULE)
    first -= (first @ axis) * axis
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    turn = np.radians(ear.cochlea_turn_deg)
    begin = np.cos(turn) * first + np.sin(turn) * second
    return np.stack([begin, np.cross(axis, begin), axis])


def cochlea_point(ear: Ear, local: tuple[float, float, float]) -> Vec:
    """A point of the spiral's own frame (mm at scale 1) of a left cochlea."""
    away = ear.cochlea_scale * (np.array(local) - HULL_CENTRE)
    return as_vec(np.array(ear.cochlea_centre) + away @ cochlea_frame(ear))


def turns(ear: Ear) -> tuple[list[Vec], list[float]]:
    """Centre line and radii of a left cochlea's turns."""
    line, radii = spiral()
    placed = [cochlea_point(ear, as_vec(point)) for point in line]
    return placed, [float(r) for r in radii * ear.cochlea_scale]


def cochlea_hull(ear: Ear, margin_mm: float) -> Distance:
    """The turns of a left cochlea with the modiolus between them filled."""
    line, radii = turns(ear)
    widths = [r + margin_mm for r in radii]
    base, apex = cochlea_point(ear, (0.0, 0.0, 0.1)), cochlea_point(ear, (0.0, 0.0, 3.2))
    wide, narrow = 1.9 * ear.cochlea_scale, 0.7 * ear.cochlea_scale

    tube = pipe_distance(line, widths)

    def distance(points: Tensor) -> Tensor:
        core = capsule(points, base, apex, wide, narrow)
        return smooth_union(tube(points), core, 0.3)

    return near(distance, box_about(line, max(widths) + FAR_MM))


def cochlea_parts(ear: Ear, fluid: Tissue) -> list[Part]:
    """A left cochlea: modiolus and septa, and in them the fluid's turns."""
    line, radii = turns(ear)
    lumen = [r - ear.septum_mm for r in radii]
    box = box_about(line, max(radii) + EDGE_MM)
    # The spiral lamina hangs from the modiolus into the lumen.
    inner, _ = spiral()
    inner[:, :2] *= (1 - 0.75 * np.array(radii) / np.hypot(inner[:, 0], inner[:, 1]))[:, None]
    lamina = [cochlea_point(ear, as_vec(point)) for point in inner[4:]]
    turning, hanging = pipe_distance(line, lumen), pipe_distance(lamina, [0.22])
    return [
        Part(Tissue.MODIOLUS, cochlea_hull(ear, -0.05), box),
        Part(fluid, near(turning, box), box),
        Part(Tissue.MODIOLUS, near(hanging, box), box, opacity=0.8),
    ]
