"""What a tumour holds: a poorly perfused core, cysts, small bleeds. All as if on the left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.sides import as_vec
from meatus_phantom.anatomy.tumour.tumour import PART_MARGIN_MM, Tumour, grid_points
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.shapes import Vec, ball, ellipsoid, smooth_both, smooth_union
from meatus_phantom.tissues import Tissue

BLEED_RIM_MM = 0.6


def core(rng: np.random.Generator, tumour: Tumour, rim_mm: float) -> list[Part]:
    """Tissue deeper than about ``rim_mm``, which takes up less contrast agent."""
    lumps = draw_waves(rng, float(rng.uniform(5, 9)), 4)
    uneven = float(rng.uniform(0.15, 0.35)) * rim_mm

    def distance(points: Tensor) -> Tensor:
        return tumour.grid.near(points) + rim_mm + uneven * lumps(points)

    return _if_any(tumour, Part(Tissue.TUMOUR_CORE, distance, tumour.grid.box))


def cysts(rng: np.random.Generator, tumour: Tumour) -> list[Part]:
    """One large or several small pockets, each within a rim of solid tumour, some with septa."""
    depth, place = _deepest(rng, tumour)
    if depth < 1.5:
        return []
    rim = float(rng.uniform(0.5, min(1.6, 0.5 * depth)))
    pockets: list[tuple[Vec, Vec]] = []
    for _ in range(int(rng.integers(1, 6))):
        at = np.array(place) + rng.normal(0, 0.45 * depth, 3)
        radii = depth * rng.uniform(0.35, 0.95) * np.exp(rng.normal(0, 0.2, 3))
        pockets.append((as_vec(at), as_vec(radii)))
    lumps, blend = draw_waves(rng, 4.0, 4), float(rng.uniform(0.1, 0.6))

    def distance(points: Tensor) -> Tensor:
        joined = ellipsoid(points, *pockets[0])
        for pocket in pockets[1:]:
            joined = smooth_union(joined, ellipsoid(points, *pocket), blend)
        return smooth_both(joined + 0.3 * lumps(points), tumour.grid.near(points) + rim, 0.5)

    return _if_any(tumour, Part(Tissue.TUMOUR_CYST, distance, tumour.grid.box))


def bleeds(rng: np.random.Generator, tumour: Tumour) -> list[Part]:
    """One to five spots of old blood, half to two millimetres wide."""
    found = []
    for _ in range(int(rng.integers(1, 6))):
        depth, place = _deepest(rng, tumour)
        radius = float(rng.uniform(0.3, 1.1))
        if depth < radius + BLEED_RIM_MM:
            continue
        found.append(
            Part(
                Tissue.MICROBLEED,
                _ball(place, radius),
                Box(place, place).grown(radius + PART_MARGIN_MM),
            )
        )
    return found


def _ball(centre: Vec, radius: float) -> Distance:
    return lambda points: ball(points, centre, radius)


def _deepest(rng: np.random.Generator, tumour: Tumour) -> tuple[float, Vec]:
    """Depth and place of the deepest of some random points in the tumour."""
    values = tumour.grid.values[0].reshape(-1)
    inside = (values < 0).nonzero()[:, 0]
    if not len(inside):
        return 0.0, tumour.room.ear.porus
    some = inside[torch.tensor(rng.integers(0, len(inside), 6))]
    best = some[values[some].argmin()]
    x, y, z = grid_points(tumour.grid).reshape(3, -1)[:, best].tolist()
    return -float(values[best]), (x, y, z)


def _if_any(tumour: Tumour, part: Part) -> list[Part]:
    """The part in a tight box; nothing where it is empty."""
    points = grid_points(tumour.grid)
    inside = points[:, part.distance(points) < 0]
    if not inside.shape[1]:
        return []
    low, high = inside.amin(1).tolist(), inside.amax(1).tolist()
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).grown(PART_MARGIN_MM)
    return [replace(part, box=box)]
