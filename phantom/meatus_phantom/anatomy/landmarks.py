"""Where each inner ear lies: drawn first, since bone, nerves and tumours are built around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import Vec


class CanalForm(Enum):
    """How wide the internal auditory canal is at the porus, at its middle and at the fundus."""

    FUNNEL = (1.13, 1.0, 0.70)
    CYLINDER = (1.0, 1.0, 0.92)
    BUD = (0.90, 1.08, 0.80)


FORM_SHARES = {CanalForm.FUNNEL: 0.58, CanalForm.CYLINDER: 0.31, CanalForm.BUD: 0.11}
# Base to apex of the left cochlea.
COCHLEA_AXIS = (0.64, 0.75, -0.15)


@dataclass(frozen=True)
class Ear:
    """One inner ear and its canal, in the canonical frame (mm).

    Positions are those of the ear's own side: x is negative on the right.
    """

    side: int  # +1 left, -1 right
    porus: Vec  # centre of the opening of the internal auditory canal
    fundus: Vec  # centre of its lateral end
    porus_normal: Vec  # unit, from the canal into the cistern; the plane that parts labels 1 and 2
    porus_half_mm: tuple[float, float]  # half width of the opening: in plane, vertical
    canal_half_mm: tuple[float, float]  # the same at mid-canal
    cochlea_centre: Vec
    cochlea_axis: Vec  # unit, base to apex
    cochlea_scale: float
    vestibule: Vec
    form: CanalForm = CanalForm.FUNNEL
    lip_mm: float = 0.6  # rounding of the porus' edge
    cochlea_turn_deg: float = 0.0  # how far the spiral is turned about its axis
    septum_mm: float = 0.12  # bone that the cochlea's lumen leaves free of its wall
    semicircular_mm: Vec = (3.2, 3.1, 2.3)  # radii: anterior, posterior, lateral canal
    semicircular_tilt: Vec = (0.0, 0.0, 0.0)  # added to the normals of all three
    semicircular_lumen_mm: float = 1.2
    nerve_canal_mm: float = 2.26  # across the opening from the fundus to the modiolus

    @property
    def length_mm(self) -> float:
        return math.dist(self.porus, self.fundus)

    @property
    def axis(self) -> Vec:
        """Unit vector from the porus to the fundus."""
        return unit([b - a for a, b in zip(self.porus, self.fundus, strict=True)])

    def mirrored(self) -> Ear:
        """The same ear on the head's other side."""
        return replace(
            self,
            side=-self.side,
            porus=_flip(self.porus),
            fundus=_flip(self.fundus),
            porus_normal=_flip(self.porus_normal),
            cochlea_centre=_flip(self.cochlea_centre),
            cochlea_axis=_flip(self.cochlea_axis),
            vestibule=_flip(self.vestibule),
        )

    def as_left(self) -> Ear:
        """Anatomy is written for the left side and mirrored."""
        return self if self.side > 0 else self.mirrored()


class _Numbers:
    """Draws for one ear: mostly shared with the other side, partly its own."""

    def __init__(self, seed: int, side: int) -> None:
        self._shared = stream(seed, "ears")
        self._own = stream(seed, "ears", side)

    def about(self, mean: float, sd: float, low: float = -99.0, high: float = 99.0) -> float:
        """A normal value of SD ``sd`` over heads, its sides correlated by about 0.7."""
        shared, own = (
            float(self._shared.normal(0, 0.85 * sd)),
            float(self._own.normal(0, 0.53 * sd)),
        )
        return min(max(mean + shared + own, low), high)

    def form(self) -> CanalForm:
        """Nine heads in ten have the same form on both sides."""
        choices, shares = list(FORM_SHARES), list(FORM_SHARES.values())
        shared, own = (int(rng.choice(3, p=shares)) for rng in (self._shared, self._own))
        return choices[own if self._own.random() < 0.1 else shared]

    def shared(self, mean: float, sd: float, low: float, high: float) -> float:
        """The same value on both sides."""
        return min(max(float(self._shared.normal(mean, sd)), low), high)


def draw_ears(seed: int) -> tuple[Ear, Ear]:
    """The left and the right ear of a head: alike, but no mirror images (docs/phantom.md)."""
    return _draw_ear(seed, 1), _draw_ear(seed, -1).mirrored()


def unit(values: Sequence[float]) -> Vec:
    length = math.hypot(*values)
    x, y, z = (v / length for v in values)
    return x, y, z


def _flip(values: Vec) -> Vec:
    return -values[0], values[1], values[2]


def _draw_ear(seed: int, side: int) -> Ear:
    """One ear as it would lie on the left."""
    numbers = _Numbers(seed, side)
    form = numbers.form()
    porus = _porus(numbers, side)
    ahead, up = math.radians(numbers.about(9, 6, -5, 22)), math.radians(numbers.about(0, 3, -7, 7))
    length = numbers.about(10.2, 0.5, 8.5, 11.0)
    fundus = _beside(
        porus, length * math.cos(ahead), length * math.sin(ahead), length * math.sin(up)
    )
    # The petrous bone's posterior face, 35 to 45 degrees to the coronal plane.
    face = math.radians(numbers.about(40, 2.5, 35, 45))
    across, high = numbers.about(2.75, 0.36, 1.8, 3.7), numbers.about(2.45, 0.36, 1.5, 3.4)
    slant = math.cos(math.pi / 2 - face - ahead)  # between the canal's axis and the porus' plane
    centre = _beside(
        fundus, numbers.about(-0.2, 0.4), numbers.about(4.7, 0.25), numbers.about(-1.9, 0.35)
    )
    vestibule = _beside(
        fundus, numbers.about(5.7, 0.4), numbers.about(-1.9, 0.5), numbers.about(-0.3, 0.4)
    )
    return Ear(
        side=1,
        porus=porus,
        fundus=fundus,
        porus_normal=(-math.sin(face), -math.cos(face), 0.0),
        porus_half_mm=(form.value[0] * across / slant, form.value[0] * high),
        canal_half_mm=(across, high),
        cochlea_centre=_within(centre, (35.1, 2.0, -3.0), (38.9, 12.0, 1.0)),
        cochlea_axis=unit([numbers.about(v, 0.09) for v in COCHLEA_AXIS]),
        cochlea_scale=numbers.about(1.0, 0.045, 0.87, 1.13),
        vestibule=_within(vestibule, (41.0, -3.0, -4.0), (45.0, 5.0, 4.0)),
        form=form,
        lip_mm=numbers.about(0.7, 0.25, 0.2, 1.3),
        cochlea_turn_deg=numbers.about(0, 8, -18, 18),
        septum_mm=numbers.about(0.12, 0.03, 0.06, 0.18),
        semicircular_mm=(
            numbers.about(3.2, 0.2, 2.7, 3.7),
            numbers.about(3.1, 0.2, 2.6, 3.6),
            numbers.about(2.3, 0.2, 1.9, 2.8),
        ),
        semicircular_tilt=(numbers.about(0, 0.08), numbers.about(0, 0.08), numbers.about(0, 0.08)),
        semicircular_lumen_mm=numbers.about(1.2, 0.12, 1.0, 1.5),
        nerve_canal_mm=numbers.about(2.26, 0.25, 1.6, 2.8),
    )


def _porus(numbers: _Numbers, side: int) -> Vec:
    """The origin lies midway between both pori: what one side gains the other loses."""
    x = numbers.shared(25.7, 0.6, 23.4, 26.9)
    forward, up = (numbers.shared(0, 0.5, -1.2, 1.2) for _ in range(2))
    return x, side * forward, side * up


def _beside(point: Vec, x: float, y: float, z: float) -> Vec:
    return point[0] + x, point[1] + y, point[2] + z


def _within(point: Vec, low: Vec, high: Vec) -> Vec:
    """The ranges of docs/phantom.md hold whatever the canal's course."""
    x, y, z = (min(max(v, a), b) for v, a, b in zip(point, low, high, strict=True))
    return x, y, z
