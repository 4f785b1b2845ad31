"""What of a window is seen: slices that repeat, narrow fields, slabs, missing ends, holes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from meatus_phantom.windows.ranges import chance, log_uniform
from meatus_phantom.windows.settings import FieldSettings

STEP_MM = 0.5  # of the network's grid in the plane


def repeated_slices(
    labels: Tensor, rng: np.random.Generator, rules: FieldSettings
) -> Tensor | None:
    """The slice that each slice of ``labels`` (Z, Y, X) shows, where some repeat; else none."""
    if not chance(rng, rules.repeat_chance):
        return None
    count = len(labels)
    if chance(rng, 0.4):  # thick slices stored as thin ones
        width = int(rng.integers(2, 5))
        return torch.arange(count) // width * width
    marked = torch.nonzero((labels > 0).flatten(1).any(1)).flatten()
    if len(marked) and chance(rng, 0.8):
        shown = int(marked[int(rng.integers(len(marked)))])
    else:
        shown = int(rng.integers(count))
    return torch.full((count,), shown)


def draw_field(
    labels: Tensor, rng: np.random.Generator, rules: FieldSettings, *, whole: bool
) -> Tensor:
    """Where a window (Z, Y, X) shows anything, as bool; elsewhere it is black and unlabelled.

    In a window of the ``whole`` field a narrow one is centred on it, as the pipeline does, or
    shows few rows; a smaller window is cut at some of its sides. What is left is never narrower
    than a real scan's: in a handful of voxels nothing can be told.
    """
    seen = torch.ones(labels.shape, dtype=torch.bool)
    rows, columns = labels.shape[1:]
    if chance(rng, rules.narrow_chance):
        for axis, extent in ((1, rows), (2, columns)):
            _cut(seen, axis, *_narrow(extent, rng, rules, whole))
    if chance(rng, rules.slab_chance) and whole:
        width = min(rows, round(rng.uniform(*rules.slab_mm) / STEP_MM))
        marked = torch.nonzero((labels > 0).any(0).any(1)).flatten()
        middle = int(marked.float().mean()) if len(marked) else rows // 2
        start = middle - width // 2 + round(rng.uniform(-0.4, 0.4) * width)
        _cut(seen, 1, start, start + width)
    if chance(rng, rules.ends_chance):
        third = max(len(labels) // 3, 1)
        _cut(seen, 0, int(rng.integers(third)), len(labels) - int(rng.integers(third)))
    if chance(rng, rules.hole_chance):
        _blank_out(seen, labels, rng)
    return seen


def _narrow(
    extent: int, rng: np.random.Generator, rules: FieldSettings, whole: bool
) -> tuple[int, int]:
    """First voxel that is seen and the one after the last, of ``extent``."""
    least = min(rules.narrowest_mm / STEP_MM, extent)
    width = round(log_uniform(rng, least, extent)) if chance(rng, 0.8) else extent
    start = (extent - width) // 2 if whole else round(rng.random() * (extent - width))
    return start, start + width


def _cut(seen: Tensor, axis: int, start: int, stop: int) -> None:
    """Leave what lies from ``start`` to ``stop`` along ``axis``, in place."""
    extent = seen.shape[axis]
    start, stop = max(start, 0), min(max(stop, 0), extent)
    seen.narrow(axis, 0, min(start, extent)).fill_(False)
    seen.narrow(axis, stop, extent - stop).fill_(False)


def _blank_out(seen: Tensor, labels: Tensor, rng: np.random.Generator) -> None:
    """A box without a structure, through all slices, as defacing leaves it."""
    rows, columns = labels.shape[1:]
    height, width = int(rng.uniform(0.08, 0.3) * rows), int(rng.uniform(0.08, 0.3) * columns)
    y, x = int(rng.integers(rows - height)), int(rng.integers(columns - width))
    box = (slice(None), slice(y, y + height), slice(x, x + width))
    if not bool((labels[box] > 0).any()):
        seen[box] = False
