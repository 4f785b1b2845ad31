"""Members, flips, averaging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.spec import PhysicalCrop, Spec
from meatus.structures import Structure
from meatus.volumes import Prepared, Probabilities
from meatus.windows import Part, blend, cut, plan, shown_field

Quality = Literal["fast", "standard", "full"]
Flip = tuple[int, ...]  # window axes (z, y, x) = (0, 1, 2) that are reversed

NO_FLIP: tuple[Flip, ...] = ((),)
LEFT_RIGHT: tuple[Flip, ...] = ((), (2,))
EIGHT_FLIPS: tuple[Flip, ...] = tuple(
    tuple(axis for axis, on in enumerate(chosen) if on) for chosen in product((0, 1), repeat=3)
)
FLIPS: dict[Quality, tuple[Flip, ...]] = {
    "fast": NO_FLIP,
    "standard": LEFT_RIGHT,
    "full": EIGHT_FLIPS,
}


@dataclass(frozen=True)
class Model:
    """An ensemble, loaded: its members see the same prepared scan."""

    members: tuple[Engine, ...]
    spec: Spec
    quality: Quality
    weights: str = ""  # the members' names, for reports

    @property
    def flips(self) -> tuple[Flip, ...]:
        return FLIPS[self.quality]

    def release(self) -> None:
        """Let the engines give memory back, between two cases."""
        for member in self.members:
            member.release()


def predict(prepared: Prepared, model: Model) -> Probabilities:
    """Class probabilities (C, Z, Y, X) on the prepared grid.

    Windows overlap and blend along z; within each, members and flips count alike. Beyond a
    narrow field there is background; the published crop keeps its black margins, as published.
    """
    window = model.spec.window
    slices = prepared.geometry.size[2]
    parts = plan(slices, window)
    field: tuple[slice, slice] = (slice(None), slice(None))
    if isinstance(model.spec.crop, PhysicalCrop):
        field = shown_field(prepared.voxels)
    outputs = _outputs(prepared.voxels[:, field[0], field[1]], parts, model)
    joined = _placed(blend(parts, window, outputs, slices), prepared.geometry.shape, field)
    return Probabilities(joined, prepared.geometry, prepared.field)


def _placed(joined: Array, shape: tuple[int, int, int], field: tuple[slice, slice]) -> Array:
    """``joined`` (C, Z, y, x) at ``field`` of a grid (Z, Y, X) that is background elsewhere."""
    if joined.shape[1:] == shape:
        return joined
    whole = np.zeros((len(joined), *shape), dtype=np.float32)
    whole[Structure.BACKGROUND] = 1
    whole[:, :, field[0], field[1]] = joined
    return whole


def _outputs(voxels: Array, parts: list[Part], model: Model) -> Iterator[Array]:
    for part in parts:
        yield average(cut(voxels, part, model.spec.window.depth), model)


def average(window: Array, model: Model) -> Array:
    """The mean of all members' and flips' probabilities (C, Z, Y, X) for one window."""
    total: Array | None = None
    for flip in model.flips:
        turned = np.ascontiguousarray(np.flip(window, flip))
        for member in model.members:
            output = flip_back(member(turned), flip)
            total = output.copy() if total is None else np.add(total, output, out=total)
    assert total is not None, "a model has at least one member"
    total /= len(model.flips) * len(model.members)
    return total


def flip_back(output: Array, flip: Flip) -> Array:
    """Undo ``flip`` on an output (C, Z, Y, X); a view."""
    return np.flip(output, tuple(axis + 1 for axis in flip))
