"""What surgery left of a tumour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.grids import distance_grid, volume_mm3
from meatus_phantom.anatomy.tumour.tumour import (
    MARGIN_MM,
    STEP_MM,
    Tumour,
    grid_points,
)
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Distance
from meatus_phantom.shapes import ball, smooth_both

LEAST_MM3 = 15.0
CANAL_SHARE = 0.5  # of residues lie in the canal; the others line the brainstem or the porus


def residue(rng: np.random.Generator, former: Tumour) -> Tumour:
    """A piece of ``former``: its end in the canal, or a ball's worth anywhere, mostly its edge.

    Brain and vessels stay displaced as ``former`` has it.
    """
    in_canal = former.intra_mm3 > 2 * LEAST_MM3 and rng.random() < CANAL_SHARE
    piece = _canal_end(rng, former) if in_canal else _piece(rng, former)
    grid = distance_grid(piece, former.grid.box, STEP_MM, MARGIN_MM)
    points, values = grid_points(grid), grid.values[0]
    medial = former.room.medial(points)
    extra = volume_mm3(torch.maximum(values, -medial), STEP_MM)
    intra = volume_mm3(torch.maximum(values, medial), STEP_MM)
    if extra + intra < LEAST_MM3:
        return former
    return replace(former, grid=grid, extra_mm3=round(extra, 1), intra_mm3=round(intra, 1))


def _canal_end(rng: np.random.Generator, former: Tumour) -> Distance:
    start = float(rng.uniform(-1.0, 0.35 * former.room.ear.length_mm))
    lumps = draw_waves(rng, 5.0, 4)

    def distance(points: Tensor) -> Tensor:
        lateral = former.room.medial(points) + start + 0.5 * lumps(points)
        return smooth_both(former.grid.near(points), lateral, 1.0)

    return distance


def _piece(rng: np.random.Generator, former: Tumour) -> Distance:
    inside = grid_points(former.grid)[:, former.grid.values[0] < 0]
    if not inside.shape[1]:
        return former.grid.near
    x, y, z = inside[:, int(rng.integers(0, inside.shape[1]))].tolist()
    whole = former.extra_mm3 + former.intra_mm3
    radius = 0.62 * (whole * float(rng.uniform(0.1, 0.5))) ** (1 / 3) + 1.0
    lumps = draw_waves(rng, 6.0, 4)

    def distance(points: Tensor) -> Tensor:
        near = ball(points, (x, y, z), radius) + 0.6 * lumps(points)
        return smooth_both(former.grid.near(points), near, 1.0)

    return distance
