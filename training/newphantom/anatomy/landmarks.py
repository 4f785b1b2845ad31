"""Where each inner ear lies: drawn first, since bone, nerves and tumours are built around it."""

from __future__ import annotations

from dataclasses import dataclass

from training.newphantom.shapes import Vec


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
