"""Tissue maps: parts painted in order, each voxel shared by at most two tissues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.newphantom.parts import EVERYWHERE, Box, Marked, Part
from training.newphantom.tissues import Tissue

Window = tuple[slice, slice, slice]
SCOUT = 8  # voxels between the points that tell where a box lies
COARSE = 6  # voxels between the points of a smooth part's distance
SLAB_VOXELS = 4_000_000  # painted at a time, which bounds the memory


@dataclass(frozen=True)
class TissueMap:
    """Two tissues a voxel: ``first`` fills ``share`` of it, ``second`` the rest; all (Z, Y, X)."""

    first: Tensor  # uint8
    second: Tensor  # uint8
    share: Tensor  # float32 in [0, 1]

    def dominant(self) -> Tensor:
        return torch.where(self.share >= 0.5, self.first, self.second)


def paint(
    parts: Sequence[Part],
    points: Tensor,
    width_mm: float,
    push: Callable[[Tensor], Tensor] | None = None,
) -> TissueMap:
    """Fill the voxels at ``points`` (3, Z, Y, X) with ``parts``, the last one on top.

    ``width_mm`` is the voxels' width, over which an edge is shared. ``push`` takes positions beside a
    tumour to where soft tissue lay before it grew.
    """
    shape = points.shape[1:]
    canvas = TissueMap(
        first=torch.full(shape, Tissue.AIR, dtype=torch.uint8, device=points.device),
        second=torch.full(shape, Tissue.AIR, dtype=torch.uint8, device=points.device),
        share=torch.ones(shape, dtype=torch.float32, device=points.device),
    )
    rows = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], rows):
        slab = slice(start, start + rows)
        here = points[:, slab]
        pushed = here if push is None else push(here)
        view = TissueMap(canvas.first[slab], canvas.second[slab], canvas.share[slab])
        for part in parts:
            _paint_part(view, part, pushed if part.soft else here, width_mm)
    return canvas


def label(
    marked: Sequence[Marked], points: Tensor, width_mm: float
) -> Tensor:
    """Shares (C, Z, Y, X) of the label map's classes, channel 0 the background."""
    shape = points.shape[1:]
    shares = torch.zeros((4, *shape), dtype=torch.float32, device=points.device)
    shares[0] = 1
    for mark in marked:
        window = window_of(points, mark.box)
        if window is None:
            continue
        distance = mark.distance(points[(slice(None), *window)])
        cover = (0.5 - distance / width_mm).clamp(0, 1)
        shares[(slice(None), *window)] *= 1 - cover
        shares[(int(mark.structure), *window)] += cover
    return shares


def window_of(points: Tensor, box: Box) -> Window | None:
    """The voxels that can lie in ``box``; none where no voxel does."""
    if box == EVERYWHERE:
        return slice(None), slice(None), slice(None)
    scouts = points[:, ::SCOUT, ::SCOUT, ::SCOUT]
    step = max(
        float((points.select(axis, points.shape[axis] - 1) - points.select(axis, 0)).abs().max())
        / max(points.shape[axis] - 1, 1)
        for axis in (1, 2, 3)
    )
    wide = box.grown(1.2 * SCOUT * step)
    inside = torch.ones(scouts.shape[1:], dtype=torch.bool, device=points.device)
    for axis in range(3):
        inside &= (scouts[axis] >= wide.low[axis]) & (scouts[axis] <= wide.high[axis])
    found = inside.nonzero()
    if not len(found):
        return None
    low, high = found.amin(0).tolist(), found.amax(0).tolist()
    z, y, x = (
        slice(max(0, (a - 1) * SCOUT), min(n, (b + 1) * SCOUT + 1))
        for a, b, n in zip(low, high, points.shape[1:], strict=True)
    )
    return z, y, x


def _paint_part(canvas: TissueMap, part: Part, points: Tensor, width_mm: float) -> None:
    window = window_of(points, part.box)
    if window is None:
        return
    here = points[(slice(None), *window)]
    distance = _coarse(part, here) if part.smooth else part.distance(here)
    cover = (0.5 - distance / width_mm).clamp(0, 1) * part.opacity
    if part.into is not None:
        cover = cover * _is_any(_dominant(canvas, window), part.into)
    _cover(canvas, window, int(part.tissue), cover)


def _cover(canvas: TissueMap, window: Window, tissue: int, cover: Tensor) -> None:
    """Lay ``tissue`` over ``window``: of what was there, the larger of two tissues stays."""
    first, second, share = canvas.first[window], canvas.second[window], canvas.share[window]
    under = torch.where(share >= 0.5, first, second)
    held = torch.where(first == tissue, share, torch.where(second == tissue, 1 - share, 0))
    # The tissue itself below: its shares add up, over the other tissue of the voxel.
    other = torch.where(first == tissue, second, torch.where(second == tissue, first, under))
    touched = cover > 0
    canvas.second[window] = torch.where(touched, other, second)
    canvas.share[window] = torch.where(touched, cover + (1 - cover) * held, share)
    canvas.first[window] = torch.where(touched, tissue, first)


def _dominant(canvas: TissueMap, window: Window) -> Tensor:
    share = canvas.share[window]
    return torch.where(share >= 0.5, canvas.first[window], canvas.second[window])


def _is_any(tissues: Tensor, wanted: frozenset[Tissue]) -> Tensor:
    found = torch.zeros(256, dtype=torch.float32, device=tissues.device)
    found[[int(tissue) for tissue in wanted]] = 1
    return found[tissues.long()]


def _coarse(part: Part, points: Tensor) -> Tensor:
    """A smooth part's distance: computed on few voxels (ends included), joined linearly."""
    picks = [
        torch.linspace(0, n - 1, max(2, -(-n // COARSE) + 1), device=points.device)
        for n in points.shape[1:]
    ]
    few = interpolate(
        points[None], size=tuple(len(p) for p in picks), mode="trilinear", align_corners=True
    )
    return interpolate(
        part.distance(few[0])[None, None], size=points.shape[1:], mode="trilinear", align_corners=True
    )[0, 0]
