"""The ensemble: members and test-time augmentation by flips, averaged."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.regions import Scout, about_ears, whole_field
from meatus.spec import Spec
from meatus.structures import Structure
from meatus.volumes import Prepared, Probabilities
from meatus.windows import blend_weights, cut, plan

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
    scout: Scout | None = None  # of the coarse look; without it they see the whole field

    @property
    def flips(self) -> tuple[Flip, ...]:
        return FLIPS[self.quality]

    def release(self) -> None:
        """Let the engines give memory back, between two cases."""
        for engine in (*self.members, *([self.scout.engine] if self.scout else [])):
            engine.release()


def predict(prepared: Prepared, model: Model) -> Probabilities:
    """Class probabilities (C, Z, Y, X) on the prepared grid; background where none looked.

    A coarse look finds where the ensemble looks closely, if the weights have one.
    """
    regions = (
        about_ears(prepared, model.spec, model.scout)
        if model.scout
        else whole_field(prepared, model.spec)
    )
    joined = np.zeros((len(model.spec.classes), *prepared.geometry.shape), dtype=np.float32)
    joined[Structure.BACKGROUND] = 1
    looks = np.zeros((1, *prepared.geometry.shape), dtype=np.uint8)
    for region in regions.boxes:
        at = (slice(None), *region.box)
        looked = _look(prepared.voxels[region.box], model)
        before = looks[at]
        joined[at] = np.where(before, (joined[at] * before + looked) / (before + 1), looked)
        looks[at] += 1
    return Probabilities(joined, prepared.geometry, prepared.field, regions.told)


def _look(voxels: Array, model: Model) -> Array:
    """What the ensemble says (C, Z, Y, X) of a box of the prepared scan.

    Windows overlap and blend along z; within each, members and flips count alike.
    """
    window = model.spec.window
    spans = plan(len(voxels), window)
    joined = np.zeros((len(model.spec.classes), *voxels.shape), dtype=np.float32)
    for span, weights in zip(spans, blend_weights(spans, window, len(voxels)), strict=True):
        view = cut(voxels, span, window.depth)
        total = np.zeros((len(joined), *view.shape), dtype=np.float32)
        for flip in model.flips:
            turned = np.ascontiguousarray(np.flip(view, flip))
            for member in model.members:
                total += flip_back(member(turned), flip)
        total /= len(model.flips) * len(model.members)
        joined[:, span.start : span.stop] += total[:, span.held] * weights
    return joined


def flip_back(output: Array, flip: Flip) -> Array:
    """Undo ``flip`` on an output (C, Z, Y, X); a view."""
    return np.flip(output, tuple(axis + 1 for axis in flip))
