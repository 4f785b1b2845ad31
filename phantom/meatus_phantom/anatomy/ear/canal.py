"""The internal auditory canal: fluid in bone, from the porus to the fundus."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.landmarks import Ear, unit
from meatus_phantom.anatomy.sides import as_vec, box_about, near, on_side
from meatus_phantom.parts import Distance, Part, mirrored
from meatus_phantom.shapes import Vec, both, half_space, smooth_both, vec
from meatus_phantom.tissues import Tissue

# How far the rendered lumen runs beyond the porus: through the dura into the cistern.
BEYOND_MM = 0.9
FILM_MM = 0.3  # fluid between a tumour and the bone that gave way to it
LIP_DEPTH_MM = 1.4  # how deep the rounding of the porus reaches


def canal_frame(ear: Ear) -> tuple[Vec, Vec, Vec]:
    """Unit vectors of a left canal: along it (laterally), forwards and upwards across it."""
    along = np.array(ear.axis)
    forward = np.cross((0.0, 0.0, 1.0), along)
    forward /= np.linalg.norm(forward)
    return ear.axis, as_vec(forward), as_vec(np.cross(along, forward))


def canal_point(ear: Ear, along: float, forward_mm: float = 0.0, up_mm: float = 0.0) -> Vec:
    """A point in or beside a left canal: ``along`` is 0 at the porus, 1 at the fundus."""
    axis, ahead, upward = (np.array(v) for v in canal_frame(ear))
    at = np.array(ear.porus) + along * ear.length_mm * axis + forward_mm * ahead + up_mm * upward
    return as_vec(at)


def canal_distance(ear: Ear) -> Distance:
    """The lumen between the porus' plane and the fundus, before any tumour."""
    return mirrored(_lumen(ear.as_left(), 0.0), ear.side)


def canal_parts(ear: Ear, widen: Distance | None) -> list[Part]:
    """The lumen, and the room that bone makes for a tumour ``widen`` lateral to the porus."""
    left = ear.as_left()
    ends = [canal_point(left, -0.15), left.fundus]
    room = max(left.porus_half_mm[0], 4.5) + left.lip_mm
    whole, end = box_about(ends, room), box_about([left.fundus], 3.5)
    parts = [
        on_side(Part(Tissue.CSF, near(_lumen(left, BEYOND_MM), whole), whole), ear.side),
        on_side(Part(Tissue.BONE, near(_crest(left), end), end), ear.side),
    ]
    if widen is not None:
        parts.append(_room_for(ear, widen))
    return parts


def _room_for(ear: Ear, widen: Distance) -> Part:
    def distance(points: Tensor) -> Tensor:
        lateral = half_space(points, ear.porus, unit([-v for v in ear.porus_normal]))
        return both(widen(points) - FILM_MM, -lateral - BEYOND_MM)

    return Part(Tissue.CSF, distance, box_about([ear.porus, ear.fundus], 9.0))


def _lumen(ear: Ear, beyond_mm: float) -> Distance:
    """The lumen of a left canal, cut ``beyond_mm`` medial to the porus' plane."""
    frame, length = canal_frame(ear), ear.length_mm

    def distance(points: Tensor) -> Tensor:
        away = points - vec(ear.porus, points)
        along, forward, up = ((away * vec(axis, points)).sum(0) for axis in frame)
        depth = -(away * vec(ear.porus_normal, points)).sum(0)
        width = _profile(ear, (along / length).clamp(-0.3, 1))
        lip = ear.lip_mm * torch.exp(-((depth.clamp_min(0) / LIP_DEPTH_MM) ** 2))
        half, height = width * ear.canal_half_mm[0] + lip, width * ear.canal_half_mm[1] + lip
        wall = _ellipse(forward, up, half, height)
        return both(smooth_both(wall, along - length, 1.0), -depth - beyond_mm)

    return distance


def _profile(ear: Ear, along: Tensor) -> Tensor:
    """Width relative to mid-canal: a parabola through porus, middle and fundus."""
    porus, middle, fundus = ear.form.value
    bend = 2 * (porus + fundus - 2 * middle)
    return porus + (fundus - porus - bend) * along + bend * along**2


def _ellipse(a: Tensor, b: Tensor, half_a: Tensor, half_b: Tensor) -> Tensor:
    """First-order distance to an ellipse of varying half axes."""
    scaled = torch.hypot(a / half_a, b / half_b)
    slope = torch.hypot(a / half_a**2, b / half_b**2)
    inside = -torch.minimum(half_a, half_b)
    return torch.where(scaled < 1e-3, inside, scaled * (scaled - 1) / slope.clamp_min(1e-6))


def _crest(ear: Ear) -> Distance:
    """The transverse crest: a thin shelf of bone that parts the fundus' upper and lower half."""
    frame, length, lumen = canal_frame(ear), ear.length_mm, _lumen(ear, 0.0)

    def distance(points: Tensor) -> Tensor:
        away = points - vec(ear.porus, points)
        along, _, up = ((away * vec(axis, points)).sum(0) for axis in frame)
        return both((up - 0.2).abs() - 0.15, length - 1.5 - along, lumen(points) - 0.2)

    return distance
