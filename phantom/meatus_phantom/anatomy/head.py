"""Everything outside the cranial cavity, from the skin inwards; scalp, skull and outer ears."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from meatus_phantom.anatomy.cavity import Cavity, draw_cavity
from meatus_phantom.anatomy.face import face_parts
from meatus_phantom.anatomy.grids import looked_up
from meatus_phantom.anatomy.jaw_and_neck import jaw_parts, neck_parts
from meatus_phantom.anatomy.orbit import orbit_parts
from meatus_phantom.anatomy.outlines import Outline, contours, loft
from meatus_phantom.anatomy.sides import curve, on_side
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Distance, Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import Vec, smooth_both, smooth_union, tube
from meatus_phantom.tissues import Tissue

# Skin, in mm; widest about 155 at y +35, 145 at y -30.
SKIN = contours("""
    -64: 0,88  18,85  38,72  52,50  59,30  62,8  62,-12  58,-32  50,-50  34,-62  15,-68  0,-68
    -42: 0,97  12,94  28,84  46,67  60,46  67,25  69,5  67,-15  62,-36  52,-53  36,-68  16,-76
        0,-76
    -24: 0,104  8,101  14,93  28,86  47,74  62,53  71,30  73,8  71,-14  68,-35  58,-56  41,-73
        18,-84  0,-86
    -3: 0,108  6,104  11,94  19,89  36,84  53,73  66,56  74,37  76,20  74,0  73,-18  69.5,-36
        59,-58  42,-76  20,-88  0,-91
    11: 0,103  6,99  13,90  24,90  34,91  46,82  58,69  69,50  75.5,33  77,15  75,-5  73.5,-22
        70,-39  59,-60  42,-78  21,-90  0,-93
    22: 0,99  8,96  16,93  33,90  48,80  60,66  70,49  75.5,32  77,13  76,-7  74,-24  69.5,-42
        58,-62  42,-79  21,-91  0,-94
    40: 0,98  15,97  32,91  50,78  64,58  73,36  77,12  77,-8  75,-26  69,-48  58,-67  42,-83
        21,-93  0,-95
    62: 0,94  18,92  36,84  53,68  66,49  74,28  77.5,4  76,-16  73,-34  66,-54  54,-71  38,-84
        19,-92  0,-94
    84: 0,78  18,75  36,66  51,49  61,31  67.5,12  68,-4  65,-24  58,-46  44,-63  22,-77  0,-80
    104: 0,50  18,46  35,31  45,4  41,-25  24,-49  0,-56
    116: 0,12  12,8  17,-4  12,-17  0,-20
""")
SCALP_BOX = Box((-90, -105, -75), (90, 118, 122))

SKULL_TABLE_MM = 1.3
# Outer table and underside of the skull base, in mm.
SKULL = contours("""
    -44: 0,8  13,7  21,0  21,-13  12,-24  0,-26
    -36: 0,13  17,13  30,4  42,-8  42,-22  30,-36  14,-43  0,-44
    -26: 0,17  13,16  25,5  40,-3  53,-13  54,-30  42,-49  22,-61  0,-64
    -12: 0,30  24,34  44,24  61,12  67,-8  67,-24  60,-43  48,-58  34,-70  16,-77  0,-79
    0: 0,49  18,47  27,41  40,51  55,45  65,25  68,2  68,-16  64,-34  54,-55  38,-71  18,-81
        0,-84
    12: 0,51  18,49  27,47  41,53  56,46  66,28  69,5  69,-18  65,-39  54,-58  39,-74  19,-84
        0,-87
    24: 0,78  16,76  32,68  48,57  61,40  68.5,20  70.5,0  70,-18  65,-41  54,-61  39,-76  20,-87
        0,-89.5
    34: 0,92  15,91  31,84  47,71  59,53  66.5,34  71,10  71,-10  69,-27  64,-45  53,-64  38,-79
        20,-88  0,-90
    48: 0,91  15,90  32,83  49,69  61,49  68,30  72,8  71.5,-12  69,-29  63,-48  52,-66  37,-79
        20,-87  0,-89.5
    62: 0,87  18,85  35,77  50,61  62,44  69.5,24  72.5,4  71,-16  68,-34  61,-53  50,-68  36,-80
        18,-86  0,-88
    80: 0,74  18,71  34,62  48,47  57,31  63,13  64,-4  61,-24  54,-45  41,-62  21,-74  0,-77
    100: 0,46  18,42  34,28  42,4  38,-24  22,-46  0,-52
    111: 0,10  12,6  16,-4  12,-16  0,-19
""")
SKULL_BOX = Box((-82, -98, -46), (82, 100, 116))

# Course of the sheet in an axial slice through its middle (x, y), left ear: from the canal's
# opening along the concha, over the antihelix to the rolled rim.
PINNA = (
    (69, -3),
    (74, -9),
    (76.5, -16),
    (80, -20.5),
    (85, -24),
    (89, -29.5),
    (92.5, -34),
    (95.5, -33),
    (95.5, -29),
)
TRAGUS = ((67, 7), (72, 7), (76, 5), (78, 1.5))
PINNA_ROOT = (71.0, -12.0)


def head_parts(seed: int) -> list[Part]:
    """Scalp, muscles, face and skull of the subject, in rendering order."""
    cavity = draw_cavity(seed)
    skin = loft(SKIN, (0, 2, 0.0), stream(seed, "skin"), 1.0)
    outer = draw_outer(seed)
    return [
        *_scalp(seed, skin),
        *neck_parts(seed, skin, outer),
        *jaw_parts(seed, skin),
        *skull_parts(seed, skin, outer, cavity),
        *face_parts(seed, skin),
        *orbit_parts(seed, skin),
        *pinna_parts(seed),
    ]


def _scalp(seed: int, skin: Outline) -> list[Part]:
    rng = stream(seed, "scalp")
    thickness = float(rng.uniform(1.5, 2.2))
    sheet, strands = draw_waves(rng, 40), draw_waves(rng, 7, stretch=(1.5, 1.5, 2.5))

    def body(points: Tensor) -> Tensor:
        return torch.maximum(skin(points), points[2] - 113.0)

    def fat(points: Tensor) -> Tensor:
        return body(points) + thickness + 0.15 * sheet(points)

    def strand(points: Tensor) -> Tensor:
        """Thin muscles of expression within the fat of the face."""
        surface = skin(points)
        depth = surface + 6.0 + 1.2 * sheet(points)
        limits = torch.maximum(35.0 - points[1], points[2].abs() - 60.0)
        band = torch.maximum(depth.abs() - 1.2 - 0.9 * strands(points), surface + 3.0)
        return torch.maximum(band, limits)

    face = Box((-80, 35, -64), (80, 108, 60))
    return [
        Part(Tissue.SKIN, body, SCALP_BOX, smooth=True),
        Part(Tissue.FAT, fat, SCALP_BOX, smooth=True),
        Part(Tissue.MUSCLE, looked_up(strand, face, 1.8), face),
    ]


def draw_outer(seed: int) -> Outline:
    """The outer surface of the skull."""
    return loft(SKULL, (0, -10, 0.0), stream(seed, "outer table"), 0.9)


def skull_parts(seed: int, skin: Outline, outer: Outline, cavity: Cavity) -> list[Part]:
    """Galea, bone and the marrow between the tables."""
    rng = stream(seed, "diploe")
    grain, patches = draw_waves(rng, 9), draw_waves(rng, 28)
    thin = float(rng.uniform(-0.2, 0.8))
    filled = float(rng.uniform(0.35, 0.8))  # trabeculae take the rest

    def shell(points: Tensor) -> Tensor:
        """The outer table, never nearer to the skin's surface than a thin scalp."""
        return torch.maximum(outer(points), skin(points) + 4.2)

    def bone(points: Tensor) -> Tensor:
        return torch.maximum(shell(points), -42.0 - points[2])

    def galea(points: Tensor) -> Tensor:
        return torch.maximum(shell(points) - 1.4, -2.0 - points[2])

    def diploe(points: Tensor) -> Tensor:
        table = SKULL_TABLE_MM + thin + 1.0 * patches(points) + 0.4 * grain(points)
        between = torch.maximum(outer(points), -cavity.whole(points))
        between = torch.maximum(between, skin(points) + 4.2) + table
        # Temporal bone: cells and compact bone, drawn with the ear.
        x, y, z = points
        dense = torch.hypot((x.abs() - 56) / 24, (y + 4) / 22)
        dense = torch.maximum(dense, (z + 4) / 16).sub(1).mul(16)
        return torch.maximum(between, -dense)

    return [
        Part(Tissue.MUSCLE, galea, SKULL_BOX, smooth=True),
        Part(Tissue.BONE, bone, SKULL_BOX, smooth=True),
        Part(Tissue.MARROW, diploe, SKULL_BOX, smooth=True, opacity=filled),
    ]


def pinna_parts(seed: int) -> list[Part]:
    return [on_side(part, side) for side in (1, -1) for part in _pinna(seed, side)]


def _pinna(seed: int, side: int) -> list[Part]:
    rng = stream(seed, "pinna", side)
    height = bounded_normal(rng, 29, 3, 23, 35)
    thick = float(rng.uniform(1.4, 2.2))
    middle = float(rng.normal(0, 3))
    box = Box((66, -50, middle - height - 2), (103, 14, middle + height + 2))
    sheet = looked_up(_sheet(seed, side, height, middle), box, 1.2)
    return [
        Part(Tissue.SKIN, lambda p: sheet(p) - thick, box),
        Part(Tissue.FAT, lambda p: sheet(p) - 0.3 * thick, box, opacity=0.8),
    ]


def _sheet(seed: int, side: int, height: float, middle: float) -> Distance:
    rng = stream(seed, "pinna's form", side)
    flat = float(rng.uniform(0.1, 0.75))  # radians that the ear lies closer to the head
    lean = float(rng.normal(0.15, 0.08))
    moved = rng.normal(0, 0.5, (len(PINNA), 2))
    shape = [
        (x + float(dx) - PINNA_ROOT[0], y + float(dy) - PINNA_ROOT[1], 0.0)
        for (x, y), (dx, dy) in zip(PINNA, moved, strict=True)
    ]
    sheet = curve(shape, 15)
    tragus = curve([(x - PINNA_ROOT[0], y - PINNA_ROOT[1], 0.0) for x, y in TRAGUS], 6)
    twist = float(rng.normal(0.012, 0.005))

    def distance(points: Tensor) -> Tensor:
        z = points[2] - middle
        # Smaller towards the rims above and below, and turned a little with height.
        shrink = (1 - (z / height).clamp(-0.97, 0.97) ** 2).sqrt().clamp_min(0.4)
        x = (points[0] - PINNA_ROOT[0]) / shrink
        y = (points[1] - PINNA_ROOT[1] + lean * z) / shrink
        c, s = math.cos(flat), math.sin(flat)
        bend = twist * z
        plane = torch.stack(
            (c * x - s * y - bend * y, s * x + c * y + bend * x, torch.zeros_like(x))
        )
        rim = tube(plane, sheet, _taper(sheet))
        flap = tube(plane, tragus, [0.0] * len(tragus))
        flap = smooth_both(flap, (z + 3).abs() - 9, 2.0)
        return smooth_both(smooth_union(rim * shrink, flap, 0.5), z.abs() - height, 1.5)

    return distance


def _taper(line: list[Vec]) -> list[float]:
    """Thicker at the root and along the rolled rim."""
    count = len(line)
    return [0.9 * (1 - i / count) ** 2 + 0.5 * (i > 0.75 * count) for i in range(count)]
