"""The ensemble: members and test-time augmentation by flips, averaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from meatus.components import Mask
from meatus.engines.protocol import Engine
from meatus.geometry import Array
from meatus.regions import (
    BOTH_EARS,
    Regions,
    Scout,
    about_ears,
    about_findings,
    whole_field,
)
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
    one_shape: bool = False  # of windows, as a runtime that takes minutes for each needs

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Those of the quality that the network has learnt: others harm (docs/weights.md)."""
        return views_of(self.spec, self.quality)

    def release(self) -> None:
        """Let the engines give memory back, between two cases."""
        for engine in (*self.members, *([self.scout.engine] if self.scout else [])):
            engine.release()


def views_of(spec: Spec, quality: Quality) -> tuple[Flip, ...]:
    """The flips of ``quality`` that weights of ``spec`` have learnt."""
    learnt = LEFT_RIGHT if spec.flips == "left-right" else EIGHT_FLIPS
    return tuple(flip for flip in FLIPS[quality] if flip in learnt)


def predict(prepared: Prepared, model: Model) -> Probabilities:
    """Class probabilities (C, Z, Y, X) on the prepared grid; background where none looked.

    A coarse look finds where the ensemble looks closely, if there is one. Where it sees the whole
    field, but for the published crop, flips after the first look again at the slices that may show
    a structure, or, where they are many, at the ears. Windows overlap and blend; where all have
    looked, members and flips count alike.
    """
    spec = model.spec
    looked = about_ears(prepared, spec, model.scout) if model.scout else whole_field(prepared, spec)
    several = prepared.geometry.size[2] > spec.window.depth  # windows
    spares = several and looked.told != BOTH_EARS and isinstance(spec.crop, PhysicalCrop)
    passes = (model.flips[:1], model.flips[1:]) if spares else (model.flips, ())
    p = np.zeros((len(spec.classes), *prepared.geometry.shape), dtype=np.float32)
    p[Structure.BACKGROUND] = ~_seen(prepared, looked)
    regions, before = looked, 0
    for flips in filter(None, passes):
        count = before + len(flips)
        if before:
            # Another shape of window costs a runtime as much as two of the whole field.
            worth_it = len(flips) > 1 and not model.one_shape
            regions = about_findings(p, prepared, spec, looked, narrower=worth_it)
            np.multiply(p, np.float32(before / count), out=p, where=_seen(prepared, regions))
        for view in _views(prepared, regions, spec.window):
            total: Array | None = None
            for flip, member in product(flips, model.members):
                turned = np.ascontiguousarray(np.flip(view.voxels, flip))
                answer = flip_back(member(turned), flip)
                total = answer if total is None else total + answer
            assert total is not None
            p[:, *view.place] += total[:, view.held] * (view.share / (count * len(model.members)))
        before = count
    return Probabilities(p, prepared.geometry, prepared.field, looked.told)


def _seen(prepared: Prepared, regions: Regions) -> Mask:
    """(Z, Y, X): what lies in any of ``regions``."""
    seen = np.zeros(prepared.geometry.shape, dtype=np.bool_)
    for region in regions.boxes:
        seen[region.box] = True
    return seen


@dataclass(frozen=True)
class _View:
    """One window: what the network sees, and what of that counts where."""

    voxels: Array  # (Z, Y, X)
    held: slice  # the slices of it that are of the scan
    place: tuple[slice, slice, slice]  # those on the prepared grid
    share: Array  # (held slices, Y, X): how much each voxel counts


def _views(prepared: Prepared, regions: Regions, window: Window) -> Iterator[_View]:
    """The windows along z of each region; of each voxel, their shares sum to one."""
    planned, shares = [], np.zeros(prepared.geometry.shape, dtype=np.float32)
    for region in regions.boxes:
        count, first = region.shape[0], region.slices.start
        spans = plan(count, window)
        for span, share in zip(spans, blend_weights(spans, window, count), strict=True):
            place = (slice(first + span.start, first + span.stop), region.rows, region.columns)
            shares[place] += share
            planned.append((region, span, place, share))
    for region, span, place, share in planned:
        voxels = cut(prepared.voxels[region.box], span, window.depth)
        yield _View(voxels, span.held, place, share / shares[place])


def flip_back(output: Array, flip: Flip) -> Array:
    """Undo ``flip`` on an output (C, Z, Y, X); a view."""
    return np.flip(output, tuple(axis + 1 for axis in flip))
