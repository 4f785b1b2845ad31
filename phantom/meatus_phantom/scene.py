"""A subject as one scanner sees it: signal, labels and tissues on the scan's grid.

The head is rendered at the scan's own voxels, the ears and tumours on a finer grid whose signal is
averaged, so that partial volume is right where it counts. CSF that pulses through the slices loses
signal: before the pons and in the fourth ventricle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from meatus.geometry import Geometry
from meatus_phantom.acquisition.fields import Sampled, inner_air, off_resonance, signal_kept
from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.render import TissueMap, label, render_tissues, window_of
from meatus_phantom.shapes import Vec, vec
from meatus_phantom.signal.appearance import Appearance, Signal, draw_textures, render
from meatus_phantom.signal.texture import Noise
from meatus_phantom.space import canonical
from meatus_phantom.subject import Subject
from meatus_phantom.tissues import Tissue

FINE_MM = (0.26, 0.26, 0.5)  # largest voxels of the fine grid along the scan's axes

# Centres and half widths (one standard deviation) in the canonical frame, mm.
PREPONTINE: tuple[Vec, Vec] = ((0.0, 15.0, -4.0), (9.0, 5.0, 14.0))
VENTRICLE: tuple[Vec, Vec] = ((0.0, -18.0, 2.0), (7.0, 6.0, 12.0))
FLOW_REACH = 2.5  # standard deviations beyond which no flow is felt


@dataclass(frozen=True)
class Scene:
    """What a perfect scanner would measure, and the truth."""

    signal: Signal
    labels: Tensor  # (Z, Y, X) uint8
    tissues: Tensor  # (Z, Y, X) uint8, the dominant tissue


@dataclass(frozen=True)
class Look:
    """How tissues of one scan turn into signal on any grid."""

    appearance: Appearance
    textures: tuple[Noise, ...]
    effects: Effects
    field: Sampled  # off-resonance, Hz
    kept: Sampled  # factor beside air

    def signal(self, tissues: TissueMap, grid: Geometry, points: Tensor) -> Signal:
        signal = render(tissues, grid, self.appearance, self.textures, self.field.onto(grid))
        fade_flow(signal, tissues, points, self.appearance, self.effects)
        signal.water.mul_(self.kept.onto(grid))
        return signal


def make_scene(
    subject: Subject,
    grid: Geometry,
    appearance: Appearance,
    effects: Effects,
    echo_ms: float,
    seed: int,
    device: torch.device,
) -> Scene:
    """Paint ``subject`` on ``grid``; ``seed`` is that of the scan."""
    parts = subject.parts()
    points = canonical(grid, subject.space, device)
    fine_boxes = subject.fine_boxes()
    # What lies wholly in a finely rendered box need not be rendered twice.
    coarse = [part for part in parts if not any(box.holds(part.box) for box in fine_boxes)]
    tissues = render_tissues(coarse, points, min(grid.spacing_mm[:2]), subject.lesions.displace)
    air = inner_air(tissues, grid)
    rng = stream(seed, "field")
    textures = draw_textures(stream(seed, "texture"), appearance, grid, device)
    field, kept = off_resonance(air, effects, rng), signal_kept(air, effects, echo_ms)
    look = Look(appearance, textures, effects, field, kept)
    signal = look.signal(tissues, grid, points)
    scene = Scene(signal, torch.zeros_like(tissues.first), tissues.dominant())
    for box in fine_boxes:
        window = window_of(points, box)
        if window is not None:
            _render_finely(scene, subject, parts, grid, window, look)
    return scene


def _render_finely(
    scene: Scene,
    subject: Subject,
    parts: list[Part],
    grid: Geometry,
    window: tuple[slice, slice, slice],
    look: Look,
) -> None:
    """Replace ``window`` of ``scene`` by averages over a finer grid."""
    factors = tuple(
        max(1, math.ceil(width / most - 1e-6))
        for width, most in zip(grid.spacing_mm, FINE_MM, strict=True)
    )
    device = scene.labels.device
    for slab in slabs(window, factors):
        fine = subdivided(grid, slab, (factors[0], factors[1], factors[2]))
        points = canonical(fine, subject.space, device)
        width_mm = float(np.cbrt(fine.voxel_mm3))
        tissues = render_tissues(parts, points, width_mm, subject.lesions.displace)
        signal = look.signal(tissues, fine, points)
        scene.signal.water[slab] = _averaged(signal.water, factors)
        scene.signal.fat[slab] = _averaged(signal.fat, factors)
        shares = label(subject.marked(), points, width_mm)
        pooled = torch.stack([_averaged(share, factors) for share in shares])
        scene.labels[slab] = pooled.argmax(0).to(torch.uint8)
        middle = tuple(slice(f // 2, None, f) for f in factors[::-1])
        scene.tissues[slab] = tissues.dominant()[middle]


SLAB_VOXELS = 3_000_000  # of the fine grid at a time, which bounds the memory


def slabs(
    window: tuple[slice, slice, slice], factors: tuple[int, ...]
) -> list[tuple[slice, slice, slice]]:
    """``window`` cut into stacks of slices that stay small when subdivided."""
    depth, rows, columns = window
    per_slice = (rows.stop - rows.start) * (columns.stop - columns.start) * math.prod(factors)
    step = max(1, SLAB_VOXELS // per_slice)
    return [
        (slice(start, min(start + step, depth.stop)), rows, columns)
        for start in range(depth.start, depth.stop, step)
    ]


def subdivided(
    grid: Geometry, window: tuple[slice, slice, slice], factors: tuple[int, int, int]
) -> Geometry:
    """``window`` of ``grid`` with each voxel cut into ``factors`` (x, y, z)."""
    starts = [w.start for w in reversed(window)]
    sizes = [(w.stop - w.start) * f for w, f in zip(reversed(window), factors, strict=True)]
    offsets = [s - 0.5 + 0.5 / f for s, f in zip(starts, factors, strict=True)]
    return grid.regrid(
        (offsets[0], offsets[1], offsets[2]),
        (1 / factors[0], 1 / factors[1], 1 / factors[2]),
        (sizes[0], sizes[1], sizes[2]),
    )


def _averaged(fine: Tensor, factors: tuple[int, ...]) -> Tensor:
    return avg_pool3d(fine[None, None], factors[::-1])[0, 0]


def fade_flow(
    signal: Signal, tissues: TissueMap, points: Tensor, appearance: Appearance, effects: Effects
) -> None:
    """Take the lost share of CSF out of ``signal.water``, in place.

    ``points`` (3, Z, Y, X) are the voxels' canonical positions.
    """
    for loss, (centre, half) in (
        (effects.flow_prepontine, PREPONTINE),
        (effects.flow_ventricle, VENTRICLE),
    ):
        low = tuple(c - FLOW_REACH * h for c, h in zip(centre, half, strict=True))
        high = tuple(c + FLOW_REACH * h for c, h in zip(centre, half, strict=True))
        window = window_of(points, Box((low[0], low[1], low[2]), (high[0], high[1], high[2])))
        if loss <= 0 or window is None:
            continue
        here = points[(slice(None), *window)]
        squared = (((here - vec(centre, here)) / vec(half, here)) ** 2).sum(0)
        fluid = csf_share(tissues, window)
        signal.water[window] *= 1 - loss * torch.exp(-squared / 2) * _csf_part(
            fluid, signal.water[window], appearance
        )


def csf_share(tissues: TissueMap, window: tuple[slice, slice, slice]) -> Tensor:
    share = tissues.share[window]
    return (tissues.first[window] == Tissue.CSF) * share + (
        tissues.second[window] == Tissue.CSF
    ) * (1 - share)


def _csf_part(fluid: Tensor, water: Tensor, appearance: Appearance) -> Tensor:
    """The part of a voxel's signal that its CSF gives."""
    return (fluid * appearance.level(Tissue.CSF) / water.clamp_min(1e-9)).clamp_max(1)
