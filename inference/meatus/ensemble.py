"""The ensemble: members and test-time augmentation by flips, averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.regions import Regions, Scout, about_ears, about_findings, whole_field
from meatus.spec import PhysicalCrop, Spec, Window
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

    A coarse look finds where the ensemble looks closely, if the weights have one. Without it, and
    but for the published crop, flips after the first look again where that may have seen a
    structure. Windows overlap and blend; where all have looked, members and flips count alike.
    """
    spec, flips = model.spec, model.flips
    looked = about_ears(prepared, spec, model.scout) if model.scout else whole_field(prepared, spec)
    spares = not model.scout and isinstance(spec.crop, PhysicalCrop)
    now, later = (flips[:1], flips[1:]) if spares else (flips, ())
    p = np.zeros((len(spec.classes), *prepared.geometry.shape), dtype=np.float32)
    shares = np.zeros(prepared.geometry.shape, dtype=np.float32)
    for view in _views(prepared, looked, spec.window):
        p[:, *view.place] += _mean(view, model, now) * view.share
        shares[view.place] += view.share
    unseen = shares == 0
    p[Structure.BACKGROUND, unseen] = shares[unseen] = 1
    p /= shares
    if later:
        again = about_findings(p, prepared, spec, looked)
        for region in again.boxes:
            p[:, *region.box] *= len(now) / len(flips)
        for view in _views(prepared, again, spec.window):
            p[:, *view.place] += _mean(view, model, later) * (view.share * len(later) / len(flips))
    return Probabilities(p, prepared.geometry, prepared.field, looked.told)


def _mean(view: _View, model: Model, flips: Sequence[Flip]) -> Array:
    """What the members say of ``view`` by ``flips``, (C, held slices, Y, X)."""
    total = np.zeros((len(model.spec.classes), *view.voxels.shape), dtype=np.float32)
    for flip in flips:
        turned = np.ascontiguousarray(np.flip(view.voxels, flip))
        for member in model.members:
            total += flip_back(member(turned), flip)
    total /= len(flips) * len(model.members)
    return total[:, view.held]


@dataclass(frozen=True)
class _View:
    """One window: what the network sees, and what of that counts where."""

    voxels: Array  # (Z, Y, X)
    held: slice  # the slices of it that are of the scan
    place: tuple[slice, slice, slice]  # those on the prepared grid
    share: Array  # (held slices, 1, 1): how much each counts


def _views(prepared: Prepared, regions: Regions, window: Window) -> Iterator[_View]:
    """The windows along z of each region."""
    for region in regions.boxes:
        voxels, first = prepared.voxels[region.box], region.slices.start
        spans = plan(len(voxels), window)
        for span, share in zip(spans, blend_weights(spans, window, len(voxels)), strict=True):
            slices = slice(first + span.start, first + span.stop)
            place = (slices, region.rows, region.columns)
            yield _View(cut(voxels, span, window.depth), span.held, place, share)


def flip_back(output: Array, flip: Flip) -> Array:
    """Undo ``flip`` on an output (C, Z, Y, X); a view."""
    return np.flip(output, tuple(axis + 1 for axis in flip))
