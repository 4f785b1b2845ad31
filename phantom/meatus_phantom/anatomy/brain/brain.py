"""Everything inside the skull but vessels, nerves and the petrous bones."""

from __future__ import annotations

from meatus_phantom.anatomy.brain.brainstem import fourth_parts, stem_parts
from meatus_phantom.anatomy.brain.cavity import Cavity, draw_cavity
from meatus_phantom.anatomy.brain.cerebellum import cerebellum_parts
from meatus_phantom.anatomy.brain.cerebrum import cerebrum_parts
from meatus_phantom.anatomy.brain.sella import sella_parts
from meatus_phantom.anatomy.brain.venous import fold_parts, sinus_parts
from meatus_phantom.parts import Box, Part
from meatus_phantom.tissues import Tissue

DURA_MM = 0.8


def brain_parts(seed: int, atrophy: float) -> list[Part]:
    """Dura, fluid and brain in rendering order; ``atrophy`` 0 (young) to 1 widens the fluid."""
    cavity = draw_cavity(seed)
    return [
        *_lining(cavity),
        *cerebrum_parts(seed, atrophy, cavity),
        *fold_parts(seed, cavity),
        *sella_parts(seed),
        *cerebellum_parts(seed, atrophy, cavity),
        *stem_parts(seed, atrophy),
        *fourth_parts(seed, atrophy),
        *sinus_parts(seed, cavity),
    ]


def _lining(cavity: Cavity) -> list[Part]:
    box = Box((-76, -90, -80), (76, 93, 108))
    return [
        Part(Tissue.DURA, lambda p: cavity.whole(p) - DURA_MM, box, smooth=True),
        Part(Tissue.CSF, cavity.whole, box, smooth=True),
    ]
