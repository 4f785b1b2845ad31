"""CSF that pulses through the slices loses signal: before the pons and in the fourth ventricle."""

from __future__ import annotations

import torch
from torch import Tensor

from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.parts import Box
from meatus_phantom.render import TissueMap, window_of
from meatus_phantom.shapes import Vec, vec
from meatus_phantom.signal.appearance import Appearance, Signal
from meatus_phantom.tissues import Tissue

# Centres and half widths (one standard deviation) in the canonical frame, mm.
PREPONTINE: tuple[Vec, Vec] = ((0.0, 15.0, -4.0), (9.0, 5.0, 14.0))
VENTRICLE: tuple[Vec, Vec] = ((0.0, -18.0, 2.0), (7.0, 6.0, 12.0))
REACH = 2.5  # standard deviations


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
        low = tuple(c - REACH * h for c, h in zip(centre, half, strict=True))
        high = tuple(c + REACH * h for c, h in zip(centre, half, strict=True))
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
