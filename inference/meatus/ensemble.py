"""The ensemble: members and test-time augmentation by flips, averaged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.spec import PhysicalCrop, Spec
from meatus.structures import Structure
from meatus.volumes import Prepared, Probabilities
from meatus.windows import blend_weights, cut, filled_extent, plan

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
    window, grid = model.spec.window, prepared.geometry
    rows, columns = slice(None), slice(None)
    if isinstance(model.spec.crop, PhysicalCrop):
        rows, columns = filled_extent(prepared.voxels)
    voxels = prepared.voxels[:, rows, columns]
    spans = plan(grid.size[2], window)
    joined = np.zeros((len(model.spec.classes), *voxels.shape), dtype=np.float32)
    for span, weights in zip(spans, blend_weights(spans, window, grid.size[2]), strict=True):
        view = cut(voxels, span, window.depth)
        total = np.zeros((len(joined), *view.shape), dtype=np.float32)
        for flip in model.flips:
            turned = np.ascontiguousarray(np.flip(view, flip))
            for member in model.members:
                total += flip_back(member(turned), flip)
        total /= len(model.flips) * len(model.members)
        joined[:, span.start : span.stop] += total[:, span.held] * weights
    return Probabilities(_on_grid(joined, grid.shape, (rows, columns)), grid, prepared.field)


def _on_grid(joined: Array, shape: tuple[int, int, int], at: tuple[slice, slice]) -> Array:
    """``joined`` (C, Z, y, x) at rows and columns ``at`` of a grid (Z, Y, X), else background."""
    if joined.shape[1:] == shape:
        return joined
    whole = np.zeros((len(joined), *shape), dtype=np.float32)
    whole[Structure.BACKGROUND] = 1
    whole[:, :, at[0], at[1]] = joined
    return whole


def flip_back(output: Array, flip: Flip) -> Array:
    """Undo ``flip`` on an output (C, Z, Y, X); a view."""
    return np.flip(output, tuple(axis + 1 for axis in flip))
