"""Air-filled spaces of the face and what borders them: nose, sinuses, pharynx, mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.head.nose import nose_parts
from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import box as cuboid
from meatus_phantom.shapes import capsule, ellipsoid, half_space, smooth_both
from meatus_phantom.tissues import Tissue


def face_parts(seed: int, skin: Outline) -> list[Part]:
    return [
        *_mouth(seed),
        *_pterygoid_base(seed),
        *(part for side in (1, -1) for part in _maxillary(seed, side, skin)),
        *nose_parts(seed, skin),
        *_sphenoid(seed),
        *_frontal(seed),
    ]


def _lined(
    cave: Distance, box: Box, wall_mm: float, lining: Distance, fluid: Distance | None = None
) -> list[Part]:
    """Bone, mucosa of a thickness that varies, and air (or fluid) within."""
    whole = box.grown(wall_mm + 1)
    space = looked_up(cave, whole, 1.2)
    parts = [
        Part(Tissue.BONE, lambda p: space(p) - wall_mm, box.grown(wall_mm)),
        Part(Tissue.MUCOSA, space, box),
        Part(Tissue.AIR, lambda p: space(p) + lining(p), box),
    ]
    if fluid is not None:
        inside = fluid
        parts.append(Part(Tissue.EFFUSION, lambda p: torch.maximum(space(p) + 1, inside(p)), box))
    return parts


def _maxillary(seed: int, side: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "maxillary", side)
    wavy = draw_waves(rng, 26)
    lumpy = draw_waves(rng, 14)
    roof, depth = float(rng.normal(-5, 1.5)), float(rng.normal(80, 2))
    swollen = rng.random() < 0.15
    thick = float(rng.uniform(3, 7) if swollen else rng.uniform(0.4, 1.0))
    cyst = float(rng.uniform(5, 10)) if rng.random() < 0.2 else 0.0
    at = (26 + float(rng.normal(0, 3)), 62 + float(rng.normal(0, 5)), -30.0)

    def cave(points: Tensor) -> Tensor:
        x, _, z = points
        medial = 16.0 + 0.12 * (z + 20).abs() - x
        behind = half_space(points, (30, 46, -15), (0.35, -0.93, -0.05))
        front = half_space(points, (26, depth, -15), (0.50, 0.86, 0.1))
        top = z - roof - 0.1 * (x - 25)
        low = -38.0 - z
        side_wall = half_space(points, (40, 60, -15), (0.88, 0.1, -0.45))
        shape = smooth_both(smooth_both(medial, behind, 5), smooth_both(front, side_wall, 5), 5)
        shape = smooth_both(smooth_both(shape, top, 5), low, 6) + 0.9 * wavy(points)
        flipped = torch.stack((x * side, points[1], z))
        return smooth_both(shape, skin(flipped) + 7.0, 3)

    def lining(points: Tensor) -> Tensor:
        return thick * (1 + 0.45 * lumpy(points)).clamp_min(0.3)

    def blob(points: Tensor) -> Tensor:
        return ellipsoid(points, at, (cyst, cyst, 0.8 * cyst)) + 0.6 * lumpy(points)

    box = Box((13, 42, -44), (46, 88, 0))
    made = _lined(cave, box, 1.1, lining, blob if cyst else None)
    return [on_side(part, side) for part in made]


def _sphenoid(seed: int) -> list[Part]:
    """Two unequal halves; the septum bends."""
    rng = stream(seed, "sphenoid")
    wavy, lumpy = draw_waves(rng, 16), draw_waves(rng, 10)
    half = (bounded_normal(rng, 13.5, 2, 9, 17), bounded_normal(rng, 10, 1.2, 7, 12))
    middle, lean = float(rng.normal(0, 3)), float(rng.normal(0, 0.25))
    thick = float(rng.uniform(2, 4.5) if rng.random() < 0.15 else rng.uniform(0.5, 1.2))
    bottom = float(rng.normal(-13, 1.5))

    def cave(points: Tensor) -> Tensor:
        x, y, _ = points
        whole = cuboid(
            points, (0.2 * middle, 38.5, bottom / 2 + 3), (half[0], half[1], 3 - bottom / 2), 5
        )
        septum = 0.8 - (x - middle - lean * (y - 38) - 1.2 * torch.sin(0.16 * y + middle)).abs()
        return smooth_both(whole + 1.1 * wavy(points), septum, 1.5)

    def lining(points: Tensor) -> Tensor:
        return thick * (1 + 0.5 * lumpy(points)).clamp_min(0.3)

    return _lined(cave, Box((-21, 25, -20), (21, 52, 12)), 0.8, lining)


def _frontal(seed: int) -> list[Part]:
    rng = stream(seed, "frontal")
    wavy = draw_waves(rng, 12)
    size = float(rng.uniform(7, 13))
    middle = float(rng.normal(0, 2))

    def cave(points: Tensor) -> Tensor:
        whole = ellipsoid(points, (middle, 87, 33), (1.6 * size, 4.0, size))
        septum = 0.8 - (points[0] - middle - 0.1 * points[2]).abs()
        return torch.maximum(whole + 1.2 * wavy(points), septum)

    box = Box((-24, 80, 18), (24, 95, 48))
    return _lined(cave, box, 1.2, lambda p: 0.5 + 0 * p[0])


def _pterygoid_base(seed: int) -> list[Part]:
    """Pterygoid plates and tuberosity behind the maxillary sinuses."""
    wavy = draw_waves(stream(seed, "pterygoid"), 14)

    def plates(points: Tensor) -> Tensor:
        x = points[0].abs()
        folded = torch.stack((x, points[1], points[2]))
        medial = capsule(folded, (13, 42, -12), (13, 38, -34), 1.6)
        lateral = capsule(folded, (17, 43, -12), (23, 35, -32), 1.6)
        root = capsule(folded, (14, 43, -8), (21, 41, -4), 4.5)
        return torch.minimum(torch.minimum(medial, lateral), root) + 0.5 * wavy(points)

    box = Box((-30, 28, -40), (30, 52, 4))
    bone = looked_up(plates, box, 0.9)
    return [
        Part(Tissue.BONE, bone, box),
        Part(Tissue.MARROW, lambda p: bone(p) + 1.4, box),
    ]


def _mouth(seed: int) -> list[Part]:
    """Pharynx, palate, tongue and teeth: for slices well below the canals."""
    rng = stream(seed, "mouth")
    wavy: Waves = draw_waves(rng, 15)

    def wall(points: Tensor) -> Tensor:
        return cuboid(points, (0, 38, -46), (15, 12, 30), 11) + wavy(points)

    def lumen(points: Tensor) -> Tensor:
        x, _, z = points
        recess: Tensor = 4.0 * torch.exp(-(((z + 22) / 8) ** 2)) * ((x.abs() - 8) / 4).clamp(0, 1)
        return cuboid(points, (0, 38.5, -46), (10.5, 6.5, 28), 6) - recess + 0.9 * wavy(points)

    def palate(points: Tensor) -> Tensor:
        return ellipsoid(points, (0, 62, -40), (24, 25, 4.5)) + 0.5 * wavy(points)

    def tongue(points: Tensor) -> Tensor:
        return ellipsoid(points, (0, 60, -66), (24, 26, 21)) + 1.2 * wavy(points)

    def teeth(points: Tensor) -> Tensor:
        x, y, z = points
        ring = (torch.hypot(x / 25, (y - 55) / 26) - 1).abs() * 25 - 4.0
        gaps = 0.9 - 2.2 * torch.cos(torch.atan2(x, y - 55) * 13)
        return torch.maximum(torch.maximum(ring + 0.2 * gaps, 40 - y), (z + 53).abs() - 9.5)

    near = Box((-34, 24, -78), (34, 95, -12))
    back = Box((-18, 26, -78), (18, 52, -12))
    roof = Box((-27, 40, -46), (27, 91, -34))
    row = Box((-33, 38, -64), (33, 94, -42))
    hard = looked_up(palate, roof, 1.2)
    return [
        Part(Tissue.MUSCLE, wall, near, smooth=True),
        Part(Tissue.MUCOSA, lambda p: lumen(p) - 2.5, near, smooth=True),
        Part(Tissue.AIR, looked_up(lumen, back, 1.2), back),
        Part(Tissue.MUSCLE, tongue, near, smooth=True),
        Part(Tissue.BONE, hard, roof),
        Part(Tissue.MARROW, lambda p: hard(p) + 1.6, roof),
        Part(Tissue.BONE, looked_up(teeth, row, 1.0), row),
    ]
