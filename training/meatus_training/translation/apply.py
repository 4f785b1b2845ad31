"""Translation of whole scans, slice by slice, so that neighbouring slices fit one another.

A 2D translator knows nothing of the slice above: its instance norms stretch each slice by that
slice's own statistics, and what it invents is drawn anew. Seen along z the result flickers.
Three things keep it steady. The input is normalised beforehand, and not here slice by slice.
Each slice is translated as it is and mirrored, as training saw both, and averaged: what
depends on the view is invented and fades. A translator of several slices at once (2.5D)
gives each slice as often as it lies in a stack of them, and the mean is taken. Last, brightness and
shading are smoothed over neighbouring slices (``steady``). Finer detail, and with it every edge of
a label, stays where it is.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from meatus.intensity import BLACK
from meatus_training.errors import TrainingError
from meatus_training.translation.data import MIN_RANGE, neighbourhood, zoomed
from meatus_training.translation.networks import Generator
from meatus_training.translation.settings import ApplySettings, TranslatorSettings

GRID_MULTIPLE = 4  # the generator halves the grid twice and doubles it twice

MIRRORED = ((), (-1,))  # axes of the two views


DEFAULT = ApplySettings()

Voxels = NDArray[np.float32]

# What a slice's shading may be multiplied by: beyond it is anatomy, not flicker.
GAIN_LIMITS = (0.5, 2.0)

# Added to brightness, which spans [0, 2], so that air has a shading of one.
FLOOR = 0.02


@torch.no_grad()
def translate_volume(
    generator: Generator,
    voxels: NDArray[np.floating],
    settings: TranslatorSettings,
    fabric: Fabric,
    style: int | None = None,
    how: ApplySettings = DEFAULT,
    plane: tuple[int, ...] | None = None,
) -> NDArray[np.float16]:
    """(Z, Y, X) in [-1, 1] to the same range; empty slices become black.

    Slices of the result have the shape ``plane`` (y, x), those of ``voxels`` where it is None.

    ``generator`` lies on the device of ``fabric`` and was trained with ``settings``. Raises
    ``TrainingError``
    where ``style`` is not one of its styles.
    """
    _check_style(generator, style)
    shown = np.array([np.ptp(plane) > MIN_RANGE for plane in voxels])
    rows, columns = plane or voxels.shape[1:]
    summed = np.zeros((len(voxels), rows, columns), dtype=np.float32)
    times = np.zeros((len(voxels), 1, 1), dtype=np.float32)
    depth = len(voxels)
    stacks = np.array([neighbourhood(z, depth, settings.neighbours) for z in range(depth)])
    for some in np.array_split(np.flatnonzero(shown), max(1, -(-shown.sum() // how.slices))):
        if len(some):
            seen = stacks[some]
            planes = torch.from_numpy(voxels[seen].astype(np.float32)).to(fabric.device)
            with fabric.autocast():
                found = _translate(generator, planes, settings, style, how, (rows, columns))
            for z, slice_ in zip(
                seen.flat, found.cpu().numpy().reshape(-1, rows, columns), strict=True
            ):
                summed[z] += slice_
                times[z] += 1
    out = np.where(shown[:, None, None], summed / np.maximum(times, 1), np.float32(BLACK))
    if how.z_sigma:
        out = steady(out, shown, how.low_sigma, how.z_sigma)
    return out.astype(np.float16)


def _translate(
    generator: Generator,
    planes: Tensor,
    settings: TranslatorSettings,
    style: int | None,
    how: ApplySettings,
    plane: tuple[int, int],
) -> Tensor:
    """(N, C, Y, X) to (N, C, ``plane``), at the resolution that training saw."""
    if settings.fit == "zoom":
        fitted = zoomed(planes, settings.size)
    else:
        rows, columns = planes.shape[-2:]
        padding = (0, -columns % GRID_MULTIPLE, 0, -rows % GRID_MULTIPLE)
        fitted = F.pad(planes, padding, value=BLACK)
    styles = None if style is None else torch.full((len(planes),), style, device=planes.device)
    views = [
        generator(fitted.flip(axes), styles).float().flip(axes)
        for axes in (MIRRORED if how.mirrored else MIRRORED[:1])
    ]
    mean = torch.stack(views).mean(dim=0)
    if settings.fit == "zoom":
        return zoomed(mean[..., : settings.size, : settings.size], plane)
    return mean[..., : plane[0], : plane[1]]


def _check_style(generator: Generator, style: int | None) -> None:
    if generator.styles == 0 and style is None:
        return
    if style is None or not 0 <= style < generator.styles:
        known = f"a style from 0 to {generator.styles - 1}" if generator.styles else "no style"
        raise TrainingError(f"style {style}: the translator was trained for {known}; name that.")


def steady(voxels: Voxels, shown: NDArray[np.bool_], low_sigma: float, z_sigma: float) -> Voxels:
    """(Z, Y, X) in [-1, 1] with the shading of each slice smoothed over its neighbours.

    The shading of a slice is its brightness above black, blurred by ``low_sigma`` voxels in
    plane. A slice is multiplied by its neighbourhood's shading (a Gaussian of ``z_sigma``
    slices) over its own, so that black stays black and detail stays where it is. Slices that
    are not ``shown`` (Z,) neither count nor change.
    """
    brightness = voxels + 1
    shading = ndimage.gaussian_filter(brightness, (0, low_sigma, low_sigma), mode="nearest") + FLOOR
    weights = shown.astype(np.float32)[:, None, None]
    summed, counted = (
        ndimage.gaussian_filter1d(values, z_sigma, axis=0, mode="constant")
        for values in (np.log(shading) * weights, weights)
    )
    gain = np.exp(summed / np.maximum(counted, 1e-6) - np.log(shading))
    changed = brightness * np.clip(gain, *GAIN_LIMITS) - 1
    kept = np.where(weights > 0, np.clip(changed, -1, 1), voxels)
    return np.asarray(kept, dtype=np.float32)


def flicker(voxels: NDArray[np.floating], low_sigma: float) -> float:
    """How much shading jumps: the mean absolute second difference along z of (Z, Y, X).

    A second difference, since anatomy that changes steadily from slice to slice has none.
    """
    exact = voxels.astype(np.float64)
    shading = ndimage.gaussian_filter(exact, (0, low_sigma, low_sigma), mode="nearest")
    return float(np.abs(np.diff(shading, n=2, axis=0)).mean())
