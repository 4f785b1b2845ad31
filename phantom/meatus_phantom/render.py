"""Tissue maps: parts rendered in order, each voxel shared by at most two tissues."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from meatus_phantom.parts import EVERYWHERE, Box, Marked, Part
from meatus_phantom.tissues import Tissue

Window = tuple[slice, slice, slice]
SCOUT_MM = 4.0  # between the points that tell where a box lies
COARSE_MM = 3.0  # between the points of a smooth part's distance
SPARSE = 0.3  # share of a window below which its few touched voxels are picked out
SLAB_VOXELS = 4_000_000  # rendered at a time, which bounds the memory


@dataclass(frozen=True)
class TissueMap:
    """Two tissues a voxel: ``first`` fills ``share`` of it, ``second`` the rest; all (Z, Y, X)."""

    first: Tensor  # uint8
    second: Tensor  # uint8
    share: Tensor  # float32 in [0, 1]

    def dominant(self) -> Tensor:
        return torch.where(self.share >= 0.5, self.first, self.second)


def render_tissues(
    parts: Sequence[Part],
    points: Tensor,
    width_mm: float,
    displace: Callable[[Tensor], Tensor] | None = None,
) -> TissueMap:
    """Fill the voxels at ``points`` (3, Z, Y, X) with ``parts``, the last one on top.

    ``width_mm`` is the voxels' width, over which an edge is shared. ``displace`` takes positions
    beside a tumour to where soft tissue lay before it grew.
    """
    shape = points.shape[1:]
    rendered = TissueMap(
        first=torch.full(shape, Tissue.AIR, dtype=torch.uint8, device=points.device),
        second=torch.full(shape, Tissue.AIR, dtype=torch.uint8, device=points.device),
        share=torch.ones(shape, dtype=torch.float32, device=points.device),
    )
    rows = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], rows):
        slab = slice(start, start + rows)
        here = points[:, slab]
        displaced = here if displace is None else displace(here)
        view = TissueMap(rendered.first[slab], rendered.second[slab], rendered.share[slab])
        scouts, displaced_scouts = send_scouts(here), send_scouts(displaced)
        for part in parts:
            if part.soft:
                _render_part(view, part, displaced, width_mm, displaced_scouts)
            else:
                _render_part(view, part, here, width_mm, scouts)
    return rendered


def label(marked: Sequence[Marked], points: Tensor, width_mm: float) -> Tensor:
    """Shares (C, Z, Y, X) of the label map's classes, channel 0 the background."""
    shape = points.shape[1:]
    shares = torch.zeros((4, *shape), dtype=torch.float32, device=points.device)
    shares[0] = 1
    scouts = send_scouts(points)
    for mark in marked:
        window = scouts.window(mark.box)
        if window is None:
            continue
        distance = mark.distance(points[(slice(None), *window)])
        cover = (0.5 - distance / width_mm).clamp(0, 1)
        shares[(slice(None), *window)] *= 1 - cover
        shares[(int(mark.structure), *window)] += cover
    return shares


@dataclass(frozen=True)
class Scouts:
    """Every few voxels' positions, to tell quickly which voxels a box can hold."""

    points: Tensor  # (3, z, y, x)
    strides: tuple[int, int, int]  # in voxels along z, y, x
    reach: tuple[float, float, float]  # mm along x, y, z from a voxel to the nearest scout
    shape: tuple[int, int, int]  # of the voxels (Z, Y, X)

    def window(self, box: Box) -> Window | None:
        """The voxels that can lie in ``box``; none where no voxel does."""
        if box == EVERYWHERE:
            return slice(None), slice(None), slice(None)
        inside = torch.ones_like(self.points[0], dtype=torch.bool)
        for axis in range(3):
            values, reach = self.points[axis], self.reach[axis]
            inside &= (values >= box.low[axis] - reach) & (values <= box.high[axis] + reach)
        found = inside.nonzero()
        if not len(found):
            return None
        low, high = found.amin(0).tolist(), found.amax(0).tolist()
        z, y, x = (
            slice(max(0, (first - 1) * stride + 1), min(n, (last + 1) * stride))
            for first, last, stride, n in zip(low, high, self.strides, self.shape, strict=True)
        )
        return z, y, x


def send_scouts(points: Tensor) -> Scouts:
    """Scouts about ``SCOUT_MM`` apart among ``points`` (3, Z, Y, X)."""
    shape = (points.shape[1], points.shape[2], points.shape[3])
    steps = []  # (3,) movement of the position per voxel along each axis of the array
    for axis, n in enumerate(shape):
        ends = points.select(axis + 1, n - 1) - points.select(axis + 1, 0)
        steps.append((ends.flatten(1).abs().amax(1) / max(n - 1, 1)).tolist())
    strides = tuple(
        min(n, max(1, round(SCOUT_MM / max(max(step), 1e-6))))
        for step, n in zip(steps, shape, strict=True)
    )
    reach = [
        # The last voxels may lie a whole stride beyond the last scout.
        sum(step[axis] * (stride - 1) for step, stride in zip(steps, strides, strict=True))
        for axis in range(3)
    ]
    z, y, x = strides
    few = points[:, ::z, ::y, ::x].contiguous()
    return Scouts(few, (z, y, x), (reach[0], reach[1], reach[2]), shape)


def window_of(points: Tensor, box: Box) -> Window | None:
    """The voxels of ``points`` (3, Z, Y, X) that can lie in ``box``; none where no voxel does."""
    return send_scouts(points).window(box)


def _render_part(
    rendered: TissueMap, part: Part, points: Tensor, width_mm: float, scouts: Scouts
) -> None:
    window = scouts.window(part.box)
    if window is None:
        return
    here = points[(slice(None), *window)]
    distance = _coarse(part, here) if part.smooth else part.distance(here)
    cover = (0.5 - distance / width_mm).clamp_(0, 1)
    if part.opacity < 1:
        cover *= part.opacity
    view = TissueMap(rendered.first[window], rendered.second[window], rendered.share[window])
    if part.into is not None:
        cover *= _is_any(view.dominant(), part.into)
    _cover(view, int(part.tissue), cover)


def _cover(view: TissueMap, tissue: int, cover: Tensor) -> None:
    """Lay ``tissue`` over ``view`` in place: of what was there, the larger of two tissues stays."""
    touched = cover > 0
    at = touched.nonzero(as_tuple=True)
    if not len(at[0]):
        return
    if len(at[0]) < SPARSE * touched.numel():
        new = _laid(view.first[at], view.second[at], view.share[at], tissue, cover[at])
        for values, changed in zip((view.first, view.second, view.share), new, strict=True):
            values[at] = changed
        return
    new = _laid(view.first, view.second, view.share, tissue, cover)
    for values, changed in zip((view.first, view.second, view.share), new, strict=True):
        values.copy_(torch.where(touched, changed, values))


def _laid(
    first: Tensor, second: Tensor, share: Tensor, tissue: int, cover: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The three maps where ``tissue`` covers the share ``cover``."""
    under = torch.where(share >= 0.5, first, second)
    held = torch.where(first == tissue, share, torch.where(second == tissue, 1 - share, 0))
    # The tissue itself below: its shares add up, over the other tissue of the voxel.
    other = torch.where(first == tissue, second, torch.where(second == tissue, first, under))
    return torch.full_like(first, tissue), other, cover + (1 - cover) * held


def _is_any(tissues: Tensor, wanted: frozenset[Tissue]) -> Tensor:
    found = torch.zeros(256, dtype=torch.float32, device=tissues.device)
    found[[int(tissue) for tissue in wanted]] = 1
    return found[tissues.long()]


def _coarse(part: Part, points: Tensor) -> Tensor:
    """A smooth part's distance: computed on few voxels (ends included), joined linearly."""
    counts = []
    for axis, n in enumerate(points.shape[1:]):
        length = points.select(axis + 1, n - 1)[:, 0, 0] - points.select(axis + 1, 0)[:, 0, 0]
        samples = math.ceil(float(torch.linalg.vector_norm(length)) / COARSE_MM) + 1
        counts.append(min(n, max(2, samples)))
    few = interpolate(points[None], size=counts, mode="trilinear", align_corners=True)
    return interpolate(
        part.distance(few[0])[None, None],
        size=points.shape[1:],
        mode="trilinear",
        align_corners=True,
    )[0, 0]
