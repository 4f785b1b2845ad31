"""How brain, nerves and vessels give way to a tumour in the cistern."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from meatus_phantom.anatomy.grids import Grid, lattice, length
from meatus_phantom.parts import Box, Distance
from meatus_phantom.render import window_of
from meatus_phantom.shapes import Vec, vec

STEP_MM = 1.0
# The displacement fades between these multiples of the tumour's reach.
WHOLE, NOTHING = 1.8, 3.2
LEAST_REACH_MM = 3.0


def displacement_field(bulk: Distance, centre: Vec, reach_mm: float) -> Grid:
    """Steps (3, ...) from positions beside ``bulk`` to where soft tissue lay before it grew.

    Along each ray from ``centre``, where the tumour began, a shell between radii r and the
    tumour's own R came from between 0 and the cube root of r^3 - R^3: its volume stays. ``bulk``
    need not be a ball: r minus the distance to it stands for R. ``reach_mm`` is its farthest
    point's distance from ``centre``; beyond ``NOTHING`` times that nothing moves.
    """
    reach = max(reach_mm, LEAST_REACH_MM)
    step = STEP_MM if reach < 15 else 1.5 * STEP_MM
    points = lattice(Box(centre, centre).grown(NOTHING * reach + step), step)
    inside = (bulk(points) < 0).numpy()
    if not inside.any():
        return Grid(torch.zeros((3, 2, 2, 2)), centre, step)
    distance = distance_transform_edt(~inside) - distance_transform_edt(inside)
    signed = gaussian_filter((distance - 0.5 * np.sign(distance)) * step, 0.7)
    beyond = torch.tensor(signed, dtype=torch.float32)
    away = points - vec(centre, points)
    far = length(away)
    radius = (far - beyond).clamp_min(0)
    before = (far**3 - radius**3).clamp_min(0) ** (1 / 3)
    share = ((NOTHING - far / reach) / (NOTHING - WHOLE)).clamp(0, 1)
    fade = share * share * (3 - 2 * share)
    return Grid(away * ((before / far.clamp_min(1e-3) - 1) * fade), _first(points), step)


def displaced(points: Tensor, field: Grid, side: int) -> Tensor:
    """``points`` (3, ...) moved by ``field``, which is drawn for the left side."""
    box = field.box if side > 0 else field.box.mirrored()
    if points.dim() != 4:
        return points + _step(points, field, side)
    window = window_of(points, box)
    if window is None:
        return points
    here = (slice(None), *window)
    moved = points.clone()
    moved[here] += _step(points[here], field, side)
    return moved


def _step(points: Tensor, field: Grid, side: int) -> Tensor:
    step = field.at(points if side > 0 else torch.stack((-points[0], points[1], points[2])))
    return step if side > 0 else torch.stack((-step[0], step[1], step[2]))


def _first(points: Tensor) -> Vec:
    x, y, z = points[:, 0, 0, 0].tolist()
    return x, y, z
