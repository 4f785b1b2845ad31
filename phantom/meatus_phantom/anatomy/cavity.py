"""The inside of the skull: posterior fossa, middle fossae and what lies above them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from meatus_phantom.anatomy.outlines import Outline, contours, loft
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import smooth_both, smooth_union

# Contours of the inner table in mm, from docs/phantom.md and textbook proportions.
POSTERIOR = contours("""
    -70: 0,6  8,3  11,-6  8,-14  0,-16
    -46: 0,6  9,4  14,-5  11,-18  0,-23
    -36: 0,4  11,1  18,-9  17,-22  9,-33  0,-36
    -28: 0,6  10,3  22,-8  32,-20  32,-36  20,-48  0,-52
    -20: 0,9  10,7  24,-4  39,-16  46,-30  38,-48  18,-61  0,-62
    -10: 0,13  9,11  22,3  40,-12  50,-25  49,-38  38,-55  18,-66  0,-66
    0: 0,16.5  8,15  24,5  34,-3  45,-13  52,-24  51.5,-38  45,-50  34,-60  16,-67.5  5,-67  0,-65
    8: 0,20  10,18  23,6.5  43,-13  52,-24  51,-39  44,-51  33,-60  16,-67  5,-66  0,-64
    13: 0,20.5  10,18.5  17.5,10  26,-3  40,-18  44,-34  36,-50  18,-60  0,-62
    20: 0,19  9,17.5  16.5,9.5  19.5,0  21.5,-14  23,-31  18,-43  8,-50  0,-52
    27: 0,13  9,13  17,8  19,1  16,-9  12,-20  8,-33  0,-42
    33: 0,2  8,0  13,-10  10,-22  5,-31  0,-35
""")
MIDDLE = contours("""
    -10: 42,27  45,24  42,21  39,24
    -7: 30,28  36,36  46,37  55,29  56,20  47,14  35,17
    -3: 24,28  29,39  40,45  52,40  60,27  60,14  51,8  36,11
    3: 20,29  26,42  38,49  51,44  61,29  63,12  56,3  38,7  24,17
    10: 18,28  24,42  38,50  52,45  62,29  65,12  60,-10  40,-6  20,14
    20: 18,30  24,42  38,49  53,44  63,28  66,12  60,-12  40,-8  20,12
""")  # left; about (42, 24)
UPPER = contours("""
    8: 0,30  20,36  36,46  50,43  61,30  65,12  65,-8  61,-27  50,-46  37,-58  18,-67  0,-68
    19: 0,37  20,38  36,46  51,43  62,30  66.5,12  66,-8  62,-29  52,-49  39,-62  20,-72  0,-74
    25: 0,68  10,66  22,52  36,47  52,44  63,29  67,12  67,-8  63,-30  53,-51  39,-65  20,-76
        0,-79
    33: 0,80  14,79  29,71  44,57  56,42  64,28  68,8  67.5,-10  64,-32  54,-54  39,-69  20,-79
        0,-82
    45: 0,83  15,81  31,75  46,62  58,44  65.5,27  68.5,6  68,-12  64,-34  54,-56  38,-71  19,-80
        0,-82
    62: 0,80  17,78  33,70  48,55  59,39  66,21  68.5,2  67,-16  62,-37  52,-57  36,-71  18,-79
        0,-81
    80: 0,66  16,63  31,55  44,42  53,27  59,11  60,-4  57,-22  50,-41  38,-56  20,-67  0,-70
    97: 0,34  14,32  28,20  34,2  31,-20  18,-38  0,-43
    104: 0,8  10,4  13,-3  9,-12  0,-15
""")
TENT_APEX_MM = 33.0


@dataclass(frozen=True)
class Cavity:
    """Inner table of one subject's skull, as distances."""

    posterior: Outline
    middle: tuple[Outline, Outline]  # left, right; both drawn on the left
    upper: Outline

    def tent(self, points: Tensor) -> Tensor:
        """The posterior fossa up to the tentorium."""
        return smooth_both(self.posterior(points), points[2] - TENT_APEX_MM, 3.0)

    def cerebral(self, points: Tensor) -> Tensor:
        """Middle fossae and everything above the skull base."""
        above = smooth_both(self.upper(points), 6.5 - 0.1 * points[1] - points[2], 1.5)
        left, right = self.fossae(points)
        return smooth_union(above, torch.minimum(left, right), 3.0)

    def fossae(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Left and right middle fossa."""
        flipped = torch.stack((-points[0], points[1], points[2]))
        left, right = (
            smooth_both(outline(at), (at[2] - 5.5).abs() - 14.5, 2.0)
            for outline, at in zip(self.middle, (points, flipped), strict=True)
        )
        return left, right

    def whole(self, points: Tensor) -> Tensor:
        return torch.minimum(self.cerebral(points), self.tent(points))


def draw_cavity(seed: int) -> Cavity:
    """The subject's cavity: the same for the skull about it and for the brain in it."""
    rng = stream(seed, "cavity")
    return Cavity(
        posterior=loft(POSTERIOR, (0, -18, -0.17), rng, 0.8),
        middle=(
            loft(MIDDLE, (42, 24, 0.0), rng, 1.2, mirror=False),
            loft(MIDDLE, (42, 24, 0.0), rng, 1.2, mirror=False),
        ),
        upper=loft(UPPER, (0, -8, 0.0), rng, 0.9),
    )
