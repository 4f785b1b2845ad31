"""Scans that were cut short: borders painted out, and narrow fields enlarged."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from meatus.intensity import BLACK
from meatus.structures import Structure
from meatus_training.augmentation.chances import chance
from meatus_training.augmentation.settings import AugmentSettings

BOTH_ENDS_OF_Y = (2, 3)  # of the six sides: twice the axis (z, y, x), and one for its end


def blank_borders(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Paint strips at one or more sides black (-1); what is not seen there is background.

    Sides of all three axes, or both ends of y, with widths even from one voxel to
    ``blank_share`` of the axis.
    """
    rules = settings.borders
    if not chance(rng, rules.blank_chance):
        return image, labels
    image, labels = image.clone(), labels.clone()
    if rules.blank == "rows":
        sides = np.array(BOTH_ENDS_OF_Y)
    else:
        sides = rng.permutation(6)[: int(rng.integers(1, rules.blank_sides + 1))]
    for axis, last in (divmod(int(side), 2) for side in sides):
        extent = image.shape[axis]
        width = int(rng.integers(1, max(int(rules.blank_share * extent), 1) + 1))
        start = extent - width if last else 0
        image.narrow(axis, start, width).fill_(BLACK)
        labels.narrow(axis, start, width).fill_(int(Structure.BACKGROUND))
    return image, labels


def keep_slab(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Paint all but a slab of rows black, as a coronal scan of the ears shows it.

    Its width is even within ``slab_share`` of the rows, its place anywhere in the window.
    """
    rules = settings.borders
    used, share, place = (
        chance(rng, rules.slab_chance),
        rng.uniform(*rules.slab_share),
        rng.random(),
    )
    if not used:
        return image, labels
    rows = image.shape[1]
    width = max(round(share * rows), 1)
    start = round(place * (rows - width))
    kept_image, kept_labels = torch.full_like(image, BLACK), torch.zeros_like(labels)
    kept = slice(start, start + width)
    kept_image[:, kept], kept_labels[:, kept] = image[:, kept], labels[:, kept]
    return kept_image, kept_labels


def expand_incomplete(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Enlarge, in the plane, a scan that does not fill its window.

    An incomplete scan lies between black strips, where preprocessing made it square. Its field
    (the box of what is not black) is enlarged about its middle by one factor for both axes,
    even between 1 and what lets its shorter side fill the window, ``expand_limit`` at most;
    what then lies outside the window is cut off. So a network meets the same narrow
    field at several sizes. A scan without black sides stays as it is; the air about a
    whole head is black too, so that this is for scans that are known to be incomplete.
    """
    used, part = chance(rng, settings.borders.expand_chance), rng.random()
    shown = (image > BLACK).any(0)
    if not used or not bool(shown.any()):
        return image, labels
    low_y, high_y = _extent(shown.any(1))
    low_x, high_x = _extent(shown.any(0))
    height, width = image.shape[1:]
    most = max(height / (high_y - low_y), width / (high_x - low_x))
    most = min(most, settings.borders.expand_limit)
    factor = 1 + part * (most - 1)
    if factor <= 1:
        return image, labels
    middle_y, middle_x = (low_y + high_y) / height - 1, (low_x + high_x) / width - 1
    theta = image.new_tensor([[1 / factor, 0, middle_x], [0, 1 / factor, middle_y]])
    grid = F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    slices = (image - BLACK)[None]
    larger = F.grid_sample(slices, grid, mode="bilinear", align_corners=False)[0] + BLACK
    marked = labels[None].to(image.dtype)
    moved = F.grid_sample(marked, grid, mode="nearest", align_corners=False)[0]
    return larger.clamp(-1, 1), moved.to(labels.dtype)


def _extent(used: Tensor) -> tuple[int, int]:
    """First and last-but-one index of what is true in (N,)."""
    places = torch.nonzero(used)[:, 0]
    return int(places[0]), int(places[-1]) + 1
