"""Parts: shapes that are filled with one tissue, rendered in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from meatus.structures import Structure
from meatus_phantom.shapes import Vec
from meatus_phantom.tissues import Tissue

Distance = Callable[[Tensor], Tensor]  # points (3, ...) in mm to signed distances (...) in mm


@dataclass(frozen=True)
class Box:
    """An upright box of the canonical frame in millimetres."""

    low: Vec
    high: Vec

    def grown(self, margin_mm: float) -> Box:
        x, y, z = (v - margin_mm for v in self.low)
        u, v, w = (v + margin_mm for v in self.high)
        return Box((x, y, z), (u, v, w))

    def holds(self, other: Box) -> bool:
        """Whether ``other`` lies wholly inside."""
        return all(a <= b for a, b in zip(self.low, other.low, strict=True)) and all(
            a >= b for a, b in zip(self.high, other.high, strict=True)
        )

    def mirrored(self) -> Box:
        """The box on the head's other side."""
        return Box((-self.high[0], *self.low[1:]), (-self.low[0], *self.high[1:]))


EVERYWHERE = Box((-400.0, -400.0, -400.0), (400.0, 400.0, 400.0))


@dataclass(frozen=True)
class Part:
    """A shape filled with one tissue; later parts cover earlier ones.

    ``box`` holds the whole shape: nothing is rendered outside it. ``soft`` shapes are displaced by
    a tumour. ``smooth`` ones have no detail below 8 mm, so that their distance may be computed
    on a coarse grid. ``into`` names the only tissues that the part replaces; none means all of
    them. ``opacity`` below 1 leaves part of what was there.
    """

    tissue: Tissue
    distance: Distance
    box: Box = EVERYWHERE
    soft: bool = False
    smooth: bool = False
    into: frozenset[Tissue] | None = None
    opacity: float = 1.0


@dataclass(frozen=True)
class Marked:
    """A shape that the label map shows; later ones cover earlier ones."""

    structure: Structure
    distance: Distance
    box: Box


def mirrored(distance: Distance, side: int) -> Distance:
    """A left-side (x > 0) ``distance`` on ``side``: +1 left, -1 right."""
    if side > 0:
        return distance

    def on_the_right(points: Tensor) -> Tensor:
        flipped = points.clone()
        flipped[0].neg_()
        return distance(flipped)

    return on_the_right
