"""Air-filled spaces of the face and what borders them: nose, sinuses, pharynx, mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.grids import looked_up
from meatus_phantom.anatomy.outlines import Outline
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.waves import Waves, draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import box as cuboid
from meatus_phantom.shapes import capsule, ellipsoid, half_space, smooth_both
from meatus_phantom.tissues import Tissue

NOSE_BOX = Box((-21, 42, -41), (21, 104, 20))


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


def nose_parts(seed: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "nose")
    wavy = draw_waves(rng, 18)
    bend = float(rng.normal(0, 2.0))
    grown = NOSE_BOX.grown(2)
    cavity, septum = looked_up(_cavity(skin), grown, 1.5), _septum(bend)
    turbinates = looked_up(_turbinates(seed), grown, 0.8)

    def cells(points: Tensor) -> Tensor:
        x, y, z = points
        y = y + 0.8 * wavy(points)
        walls = torch.sin(y * 0.72 + 0.35 * x) * torch.cos(z * 0.55 + 0.08 * y) * 2.2
        sheet = torch.minimum(walls.abs() * 1.4 - 0.75, x.abs() - 1.2)
        return torch.maximum(sheet, 2.0 - z + wavy(points))

    def cores(points: Tensor) -> Tensor:
        return torch.minimum(turbinates(points) + 1.9, septum(points) + 1.1)

    def inside(shape: Distance) -> Distance:
        return lambda points: torch.maximum(shape(points), cavity(points) + 0.5)

    return [
        Part(Tissue.BONE, lambda p: cavity(p) - 1.0, NOSE_BOX),
        Part(Tissue.MUCOSA, cavity, NOSE_BOX),
        Part(Tissue.AIR, lambda p: cavity(p) + 1.1 + 0.4 * wavy(p), NOSE_BOX),
        Part(Tissue.MUCOSA, inside(cells), Box((-19, 44, -2), (19, 94, 20))),
        Part(Tissue.MUCOSA, inside(turbinates), NOSE_BOX),
        Part(Tissue.MUCOSA, inside(septum), NOSE_BOX),
        Part(Tissue.BONE, inside(cores), NOSE_BOX),
    ]


def _cavity(skin: Outline) -> Distance:
    """From choanae to nostrils; narrower above, where the ethmoid lies between the orbits."""

    def distance(points: Tensor) -> Tensor:
        lower = cuboid(points, (0, 68, -22), (15, 24, 16), 5)
        upper = cuboid(points, (0, 70, 4), (12.5, 21, 13), 5)
        external = cuboid(points, (0, 90, -18), (8.5, 13, 14), 5)
        shape = torch.minimum(torch.minimum(lower, upper), external)
        return smooth_both(shape, skin(points) + 6.0, 2.0)

    return distance


def _septum(bend: float) -> Distance:
    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        course = bend * torch.sin((y - 44) * 0.06) * torch.cos((z + 15) * 0.05)
        distance: Tensor = (x - course).abs() - 1.9
        return distance

    return distance


def _turbinates(seed: int) -> Distance:
    """Curled ribbons along the lateral walls: lower, middle and upper on each side."""
    rng = stream(seed, "turbinates")
    wavy = draw_waves(rng, 13, stretch=(1.0, 1.6, 1.0))
    # Height and distance from the midline of each ribbon's middle, half length, half height.
    rows = tuple(
        tuple(float(v + rng.normal(0, s)) for v, s in zip(row, (1.0, 0.7, 2, 1), strict=True))
        for row in (
            (-24, 9.0, 20, 8),
            (-24, 9.0, 20, 8),
            (-9, 7.0, 17, 7),
            (-9, 7.0, 17, 7),
            (3, 5.5, 12, 4),
            (3, 5.5, 12, 4),
        )
    )
    swell = float(rng.uniform(-0.4, 0.7))

    def distance(points: Tensor) -> Tensor:
        x, y, z = points
        found = torch.full_like(x, 50.0)
        ripple = wavy(points)
        for index, (height, away, half_length, half_height) in enumerate(rows):
            side = 1 if index % 2 == 0 else -1
            # The ribbon leans outwards below, like a scroll.
            middle = away + 1.6 * torch.sin((y - 52) * 0.13 + index) - 0.02 * (z - height) ** 2
            sheet = (x * side - middle).abs() - 2.3 - swell - 0.6 * ripple
            ends = torch.maximum((y - 67).abs() - half_length, (z - height).abs() - half_height)
            found = torch.minimum(found, smooth_both(sheet, ends, 2.0))
        return found

    return distance
