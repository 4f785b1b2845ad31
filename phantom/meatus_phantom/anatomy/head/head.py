"""Everything outside the cranial cavity, from the skin inwards."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.brain.cavity import draw_cavity
from meatus_phantom.anatomy.head.face import face_parts
from meatus_phantom.anatomy.head.jaw import jaw_parts
from meatus_phantom.anatomy.head.neck import neck_parts
from meatus_phantom.anatomy.head.orbit import orbit_parts
from meatus_phantom.anatomy.head.pinna import pinna_parts
from meatus_phantom.anatomy.head.skull import draw_outer, skull_parts
from meatus_phantom.anatomy.lookup_grid import looked_up
from meatus_phantom.anatomy.outlines import Outline, contours, loft
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
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
BOX = Box((-90, -105, -75), (90, 118, 122))


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
        Part(Tissue.SKIN, body, BOX, smooth=True),
        Part(Tissue.FAT, fat, BOX, smooth=True),
        Part(Tissue.MUSCLE, looked_up(strand, face, 1.8), face),
    ]
