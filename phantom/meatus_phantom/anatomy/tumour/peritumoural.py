"""What surrounds a tumour: a cleft of fluid, oedema, traces of surgery; what surgery left of it.

All as if on the left.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.anatomy.ear.labyrinth import cochlea_hull
from meatus_phantom.anatomy.grids import distance_grid, length, volume_mm3
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import as_vec, box_about
from meatus_phantom.anatomy.tumour.place import Room
from meatus_phantom.anatomy.tumour.tumour import (
    MARGIN_MM,
    PART_MARGIN_MM,
    STEP_MM,
    Tumour,
    grid_points,
)
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Distance, Part
from meatus_phantom.shapes import Vec, ball, both, capsule, ellipsoid, smooth_both, vec
from meatus_phantom.tissues import Tissue

BRAIN = frozenset(
    {
        Tissue.PONS,
        Tissue.CEREBELLAR_CORTEX,
        Tissue.CEREBELLAR_WHITE,
        Tissue.EDEMA,
        Tissue.GREY,
        Tissue.WHITE,
    }
)
DEEP = frozenset({Tissue.PONS, Tissue.CEREBELLAR_WHITE, Tissue.CEREBELLAR_CORTEX})
HARD = frozenset({Tissue.BONE, Tissue.MARROW, Tissue.AIR, Tissue.MUCOSA, Tissue.EFFUSION})
TOUCHES_MM3 = 1500.0  # from here on, a tumour may lie bare against brainstem and peduncle
CLEFT_MM = (0.3, 1.5)
WIDEST_MM = 2.2  # within the margin of a tumour's grid

LEAST_MM3 = 15.0  # of a residue
CANAL_SHARE = 0.5  # of residues lie in the canal; the others line the brainstem or the porus


class Approach(StrEnum):
    """How a surgeon came to the tumour."""

    TRANSLABYRINTHINE = "translabyrinthine"  # through the mastoid, which is filled with fat
    RETROSIGMOID = "retrosigmoid"  # through the skull behind the sigmoid sinus


def cleft(rng: np.random.Generator, tumour: Tumour) -> list[Part]:
    """Fluid between tumour and brain: uneven, and gone where a large tumour leans on the pons."""
    if tumour.extra_mm3 <= 0:
        return []
    width = float(rng.uniform(*CLEFT_MM))
    leans = tumour.extra_mm3 > TOUCHES_MM3 and rng.random() < 0.7
    contact = width * float(rng.uniform(1.2, 3.0)) if leans else 0.0
    lumps = draw_waves(rng, float(rng.uniform(8, 14)), 4)
    towards = _brainstem(tumour)

    def margin(points: Tensor) -> Tensor:
        away = points - vec(tumour.room.ear.porus, points)
        facing = (away * vec(towards, points)).sum(0) / length(away).clamp_min(1e-3)
        room = width * (1 + 0.45 * lumps(points)) - contact * (facing - 0.55).clamp_min(0) / 0.45
        return room.clamp(-0.5, WIDEST_MM)

    def distance(points: Tensor) -> Tensor:
        outline = tumour.grid.near(points)
        flat, all_points = outline.reshape(-1), points.reshape(3, -1)
        # The margin matters in a shell alone.
        shell = ((flat > -1) & (flat < WIDEST_MM + 1)).nonzero()[:, 0]
        flat[shell] -= margin(all_points[:, shell])
        return outline

    box = tumour.grid.box.grown(WIDEST_MM + PART_MARGIN_MM - MARGIN_MM)
    return [Part(Tissue.CSF, distance, box, into=BRAIN)]


def oedema(rng: np.random.Generator, tumour: Tumour) -> list[Part]:
    """A swollen patch of the peduncle where the tumour presses on it."""
    deepest = _farthest(tumour, (-0.65, -0.76, 0.0))
    radii = tuple(float(v) for v in rng.uniform((4, 5, 4), (8, 10, 7)))
    reach, lumps = float(rng.uniform(2.5, 6.0)), draw_waves(rng, 7.0, 4)

    def distance(points: Tensor) -> Tensor:
        patch = ellipsoid(points, deepest, (radii[0], radii[1], radii[2]))
        near = tumour.grid.near(points) - reach
        return smooth_both(patch, near, 2.0) + 0.8 * lumps(points)

    box = box_about([deepest], max(radii) + 2.0)
    return [Part(Tissue.EDEMA, distance, box, into=DEEP, opacity=float(rng.uniform(0.5, 0.9)))]


def surgery(rng: np.random.Generator, ear: Ear, former: Tumour, approach: Approach) -> list[Part]:
    """The way in, filled, and the fluid that took the removed tumour's place; ``ear`` is left."""
    gone = Part(Tissue.CSF, _shrunk(former, 0.8), former.grid.box.grown(PART_MARGIN_MM - MARGIN_MM))
    if approach is Approach.TRANSLABYRINTHINE:
        return [gone, *_fat_graft(rng, ear)]
    return [gone, *_bone_flap(rng)]


def _fat_graft(rng: np.random.Generator, ear: Ear) -> list[Part]:
    """Fat from the surface of the mastoid to the canal, in place of cells and labyrinth."""
    face = Room(ear, 0.0).medial
    x, y, z = ear.fundus
    inner: Vec = (x + 2.0, y - 4.5, z + float(rng.normal(0, 1)))
    outer: Vec = (float(rng.uniform(60, 66)), float(rng.uniform(-20, -13)), z + 2.0)
    radii = float(rng.uniform(3.5, 5)), float(rng.uniform(9, 13))
    lumps, hull = draw_waves(rng, 7.0, 5), cochlea_hull(ear, 1.2)

    def distance(points: Tensor) -> Tensor:
        cavity = capsule(points, inner, outer, *radii) + 0.8 * lumps(points)
        return both(cavity, face(points) - 0.5, -hull(points))

    def scar(points: Tensor) -> Tensor:
        return both(distance(points) - 0.8, face(points) - 0.9, -hull(points))

    box = box_about([inner, outer], max(radii) + 3.0)
    fluid = frozenset({Tissue.PERILYMPH, Tissue.PERILYMPH_AFFECTED, Tissue.CSF, Tissue.DURA})
    filled = HARD | fluid | {Tissue.MODIOLUS}
    return [
        Part(Tissue.MUCOSA, scar, box, into=filled),
        Part(Tissue.FAT, distance, box, into=filled | {Tissue.MUCOSA}),
    ]


def _bone_flap(rng: np.random.Generator) -> list[Part]:
    """A round hole in the skull behind the sigmoid sinus, closed by scar and muscle."""
    middle = np.array([50.0, -39.0, -2.0]) + rng.normal(0, (1, 2, 3))
    outward = np.array([0.80, -0.60, 0.0])
    start = middle - 6.0 * outward
    end = middle + 14.0 * outward
    radius = float(rng.uniform(8, 13))
    ends: tuple[Vec, Vec] = as_vec(start), as_vec(end)
    lumps = draw_waves(rng, 8.0, 4)
    tissue = Tissue.MUSCLE if rng.random() < 0.6 else Tissue.FAT

    def distance(points: Tensor) -> Tensor:
        return capsule(points, *ends, radius) + 0.6 * lumps(points)

    box = box_about(ends, radius + 2.5)
    return [Part(tissue, distance, box, into=HARD | {Tissue.DURA})]


def _shrunk(tumour: Tumour, by_mm: float) -> Distance:
    return lambda points: tumour.grid.near(points) + by_mm


def _brainstem(tumour: Tumour) -> Vec:
    """Unit vector from the porus to the middle of the pons' flank."""
    away = np.array([6.0, 0.0, 0.0]) - np.array(tumour.room.ear.porus)
    return as_vec(away / np.linalg.norm(away))


def _farthest(tumour: Tumour, direction: Vec) -> Vec:
    """The tumour's farthest point in ``direction``."""
    points = grid_points(tumour.grid)[:, tumour.grid.values[0] < 0]
    along = (points * torch.tensor(direction)[:, None]).sum(0)
    x, y, z = points[:, int(along.argmax())].tolist()
    return x, y, z


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
