"""The skull: tables and diploe of the vault and base, rendered before the cavity within it."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.anatomy.brain.cavity import Cavity
from meatus_phantom.anatomy.outlines import Outline, contours, loft
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.tissues import Tissue

TABLE_MM = 1.3
# Outer table and underside of the skull base, in mm.
OUTER = contours("""
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
BOX = Box((-82, -98, -46), (82, 100, 116))


def draw_outer(seed: int) -> Outline:
    """The outer surface of the skull."""
    return loft(OUTER, (0, -10, 0.0), stream(seed, "outer table"), 0.9)


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
        table = TABLE_MM + thin + 1.0 * patches(points) + 0.4 * grain(points)
        between = torch.maximum(outer(points), -cavity.whole(points))
        between = torch.maximum(between, skin(points) + 4.2) + table
        # Temporal bone: cells and compact bone, drawn with the ear.
        x, y, z = points
        dense = torch.hypot((x.abs() - 56) / 24, (y + 4) / 22)
        dense = torch.maximum(dense, (z + 4) / 16).sub(1).mul(16)
        return torch.maximum(between, -dense)

    return [
        Part(Tissue.MUSCLE, galea, BOX, smooth=True),
        Part(Tissue.BONE, bone, BOX, smooth=True),
        Part(Tissue.MARROW, diploe, BOX, smooth=True, opacity=filled),
    ]
