"""One subject: everything that its scans share, whatever the scanner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meatus_phantom.anatomy.brain import brain_parts
from meatus_phantom.anatomy.ear.canal import canal_parts
from meatus_phantom.anatomy.ear.labyrinth import cochlea_marked, labyrinth_parts
from meatus_phantom.anatomy.ear.nerves import nerve_parts
from meatus_phantom.anatomy.ear.temporal_bone import clivus_parts, petrous_parts
from meatus_phantom.anatomy.ear.vessels import vessel_parts
from meatus_phantom.anatomy.head import head_parts
from meatus_phantom.anatomy.landmarks import Ear, draw_ears
from meatus_phantom.anatomy.tumour.lesions import LesionMix, Lesions, draw_lesions
from meatus_phantom.contours.read import Patient
from meatus_phantom.parts import Box, Marked, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.space import Space, draw_space

# What is rendered finely about each inner ear: petrous bone, canal and cistern, left side.
EAR_BOX = Box((6.0, -20.0, -13.0), (52.0, 22.0, 13.0))


@dataclass(frozen=True)
class Subject:
    """A head in the canonical frame, and how it differs from the mean one."""

    seed: int
    space: Space
    ears: tuple[Ear, Ear]  # left, right
    lesions: Lesions
    atrophy: float  # 0 young to 1

    def parts(self) -> list[Part]:
        """All tissues in rendering order."""
        affected = {tumour.ear.side for tumour in self.lesions.tumours}
        bones = [part for ear in self.ears for part in petrous_parts(ear, self.seed)]
        fluids = [
            part
            for ear in self.ears
            for part in (
                *canal_parts(ear, self.lesions.widen(ear.side)),
                *labyrinth_parts(ear, ear.side in affected),
            )
        ]
        return [
            *head_parts(self.seed),
            *brain_parts(self.seed, self.atrophy),
            *clivus_parts(self.seed),
            *bones,
            *fluids,
            *vessel_parts(self.ears, self.seed),
            *nerve_parts(self.ears, self.seed),
            *self.lesions.parts(),
        ]

    def marked(self) -> list[Marked]:
        """What the label map shows, tumours over cochleae."""
        return [*(cochlea_marked(ear) for ear in self.ears), *self.lesions.marked()]

    def fine_boxes(self) -> list[Box]:
        """One box a side that holds the ear and its tumour."""
        boxes = []
        for ear in self.ears:
            box = EAR_BOX if ear.side > 0 else EAR_BOX.mirrored()
            for tumour in self.lesions.tumours:
                if tumour.ear.side == ear.side:
                    box = _joined(box, tumour.box)
            boxes.append(box)
        return boxes


def draw_subject(seed: int, mix: LesionMix, patients: Sequence[Patient] = ()) -> Subject:
    """Subject ``seed``; its tumours follow ``mix``, some the real contours of ``patients``."""
    ears = draw_ears(seed)
    return Subject(
        seed=seed,
        space=draw_space(seed),
        ears=ears,
        lesions=draw_lesions(seed, ears, mix, patients),
        atrophy=float(stream(seed, "atrophy").beta(1.5, 2.0)),
    )


def _joined(a: Box, b: Box) -> Box:
    low = tuple(min(u, v) for u, v in zip(a.low, b.low, strict=True))
    high = tuple(max(u, v) for u, v in zip(a.high, b.high, strict=True))
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
