"""The cochlea: a spiral tube about the modiolus, and the hull that the label map shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import (
    EDGE_MM,
    FAR_MM,
    as_vec,
    box_about,
    near,
    pipe_distance,
)
from meatus_phantom.parts import Distance, Part
from meatus_phantom.shapes import Vec, capsule, smooth_union
from meatus_phantom.tissues import Tissue

FIRST_DEG, LAST_DEG = 10.3, 910.0  # 2.5 turns
# The spiral's origin lies on the modiolus at the base; the hull's centre of gravity is here.
CENTRE = (0.68, 0.53, 0.85)
TOWARDS_VESTIBULE = (0.66, -0.74, 0.11)  # where a left cochlea's basal turn begins
LABEL_MARGIN_MM = 0.05  # contours lie on the outer side of the lumen's edge


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
    away = ear.cochlea_scale * (np.array(local) - CENTRE)
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
