"""Which tumours a head has: drawn once per subject, before anything is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from torch import Tensor

from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.tumour.peritumoural import (
    TOUCHES_MM3,
    Approach,
    cleft,
    oedema,
    residue,
    surgery,
)
from meatus_phantom.anatomy.tumour.place import Room
from meatus_phantom.anatomy.tumour.procedural import Koos, draw_koos, procedural
from meatus_phantom.anatomy.tumour.real import place_tumour, tumour_grid, usable
from meatus_phantom.anatomy.tumour.tumour import Tumour, build, with_parts
from meatus_phantom.anatomy.tumour.tumour_interior import bleeds, core, cysts
from meatus_phantom.contours.read import Patient
from meatus_phantom.contours.shape import prism_mm3
from meatus_phantom.parts import Box, Distance, Marked, Part
from meatus_phantom.random_streams import stream

WIDENING_MM = (1.0, 3.0)  # of the canal by a tumour
REAL_WIDENING_MM = (2.2, 3.0)  # real ones bring the width of their own canal
VOLUME_SCALE = (0.7, 1.6)  # of a real tumour
LARGE_MM3 = 3000.0  # from here on, a core that takes up less contrast agent is common


class Kind(StrEnum):
    """What a head has. The values are those of cohort.csv."""

    NONE = "none"
    BOTH = "both sides"
    CANAL = "intracanalicular"
    CYSTIC = "cystic"
    IRRADIATED = "after radiosurgery"
    OPERATED = "after surgery"
    ORDINARY = "ordinary"


@dataclass(frozen=True)
class LesionMix:
    """Share of heads of each kind; what is left is ordinary. Sources in docs/phantom.md, section 4.

    Of the challenge's 227 labelled scans all have a tumour and 7 none in the cistern. Heads
    without one, and more purely intracanalicular ones, are there because a first trial took
    normal structures for tumour and did worst in the canal.
    """

    none: float = 0.10
    both: float = 0.05  # NF2, about 5 %
    canal: float = 0.09  # Koos I: 14 % of 235 before radiosurgery, 64 % under observation
    cystic: float = 0.12  # 10 to 20 %
    irradiated: float = 0.06  # multi-centre routine scans hold some; own estimate
    operated: float = 0.04  # likewise
    real: float = 0.75  # of the tumours beyond the canal, where contours are given

    def draw(self, rng: np.random.Generator) -> Kind:
        shares = [self.none, self.both, self.canal, self.cystic, self.irradiated, self.operated]
        at = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
        return list(Kind)[at]


# What a network finds last: small tumours in the canal, residues, a second tumour. A training
# may ask for more of them than there are among patients.
DIFFICULT = LesionMix(none=0.0, both=0.15, canal=0.5, cystic=0.05, irradiated=0.05, operated=0.25)


@dataclass(frozen=True)
class Lesion:
    """One tumour and what was drawn for it."""

    tumour: Tumour
    source: str  # a patient, or "procedural"
    koos: str
    volume_scale: float = 1.0


@dataclass(frozen=True)
class Lesions:
    """All tumours of a head."""

    kind: Kind
    lesions: tuple[Lesion, ...] = ()

    @property
    def tumours(self) -> tuple[Tumour, ...]:
        return tuple(lesion.tumour for lesion in self.lesions)

    def parts(self) -> list[Part]:
        return [part for tumour in self.tumours for part in tumour.parts()]

    def marked(self) -> list[Marked]:
        return [mark for tumour in self.tumours for mark in tumour.marked()]

    def widen(self, side: int) -> Distance | None:
        """The tumour that the canal's bone on ``side`` must give way to."""
        found = [t for t in self.tumours if t.ear.side == side and t.intra_mm3 > 0]
        return found[0].whole if found else None

    def displace(self, points: Tensor) -> Tensor:
        """Positions (3, ...) beside tumours taken to where soft tissue lay before."""
        for tumour in self.tumours:
            points = tumour.displace(points)
        return points

    def boxes(self) -> list[Box]:
        """Where there is tumour, for the regions that are rendered finely."""
        return [tumour.box for tumour in self.tumours]

    def describe(self) -> dict[str, float | str]:
        """What was drawn, for cohort.csv; the same keys for every head."""
        row: dict[str, float | str] = {"lesion": str(self.kind)}
        row["sides"] = "".join("L" if t.ear.side > 0 else "R" for t in self.tumours)
        for side, name in ((1, "left"), (-1, "right")):
            here = next((one for one in self.lesions if one.tumour.ear.side == side), None)
            row[f"{name}_source"] = here.source if here else ""
            row[f"{name}_koos"] = here.koos if here else ""
            row[f"{name}_volume_scale"] = round(here.volume_scale, 3) if here else ""
            row[f"{name}_extra_mm3"] = here.tumour.extra_mm3 if here else 0.0
            row[f"{name}_intra_mm3"] = here.tumour.intra_mm3 if here else 0.0
        return row


def draw_lesions(
    seed: int, ears: tuple[Ear, Ear], mix: LesionMix, patients: Sequence[Patient]
) -> Lesions:
    """The tumours of head ``seed``, whose left and right ears are ``ears``.

    Of ``patients``, those whose cochlea is not drawn cannot be placed and are skipped.
    """
    rng = stream(seed, "lesions")
    kind = mix.draw(rng)
    first = int(rng.integers(0, 2))
    sides = {Kind.NONE: (), Kind.BOTH: (0, 1)}.get(kind, (first,))
    placeable = [patient for patient in patients if usable(patient)]
    found = []
    for side in sides:
        own = stream(seed, "lesions", side)
        real = placeable if kind is not Kind.CANAL and own.random() < mix.real else []
        found.append(_draw_lesion(own, kind, ears[side], real))
    return Lesions(kind, tuple(found))


def _draw_lesion(
    rng: np.random.Generator, kind: Kind, ear: Ear, patients: Sequence[Patient]
) -> Lesion:
    yields = 0.5 if kind is Kind.OPERATED else 1.0
    if patients:
        patient = patients[int(rng.integers(0, len(patients)))]
        low, high = np.log(VOLUME_SCALE)
        scale = float(np.exp(low + (high - low) * rng.beta(1.0, 1.5)))
        shape, box = place_tumour(tumour_grid(patient), ear.as_left(), scale, rng)
        wanted = scale * prism_mm3(patient.tumour)
        tumour = build(shape, box, ear, float(rng.uniform(*REAL_WIDENING_MM)), yields, wanted)
        return Lesion(_furnish(rng, kind, tumour), patient.subject, "", scale)
    room = Room(ear.as_left(), float(rng.uniform(*WIDENING_MM)))
    koos = Koos.I if kind is Kind.CANAL else draw_koos(rng)
    shape, box = procedural(rng, room, koos)
    tumour = build(shape, box, ear, room.widening_mm, yields)
    return Lesion(_furnish(rng, kind, tumour), "procedural", koos.name)


def _furnish(rng: np.random.Generator, kind: Kind, tumour: Tumour) -> Tumour:
    """Cores, cysts, bleeds, the cleft, oedema and traces of treatment, as the kind has it."""
    if kind is Kind.OPERATED:
        approach = list(Approach)[int(rng.integers(0, 2))]
        traces = surgery(rng, tumour.room.ear, tumour, approach)
        return with_parts(residue(rng, tumour), [], traces)
    interior: list[Part] = []
    if kind is Kind.IRRADIATED:
        interior += core(rng, tumour, float(rng.uniform(0.8, 2.2)))
    elif tumour.extra_mm3 > LARGE_MM3 and rng.random() < 0.5:
        interior += core(rng, tumour, float(rng.uniform(3.0, 6.0)))
    if kind is Kind.CYSTIC:
        interior += cysts(rng, tumour)
    if rng.random() < (0.4 if kind is Kind.CYSTIC else 0.15) and tumour.extra_mm3 > TOUCHES_MM3 / 2:
        interior += bleeds(rng, tumour)
    swollen = tumour.extra_mm3 > LARGE_MM3 and rng.random() < 0.3
    peritumoural = [*(oedema(rng, tumour) if swollen else []), *cleft(rng, tumour)]
    return with_parts(tumour, interior, peritumoural)
