"""Flips, scale, rotation, shear and elastic displacement of image and labels together."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from meatus.intensity import BLACK
from meatus.spec import Flips
from meatus_training.augmentation.chances import chance, small_normal
from meatus_training.augmentation.settings import AugmentSettings, Shape

AXES: dict[Flips, tuple[int, ...]] = {"all": (0, 1, 2), "left-right": (2,)}  # that are flipped


def flip(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Reverse each axis, or the one from side to side alone, with the same chance."""
    drawn = rng.random(3) < settings.shape.flip_chance
    axes = [axis for axis in AXES[settings.shape.flips] if drawn[axis]]
    return (torch.flip(image, axes), torch.flip(labels, axes)) if axes else (image, labels)


def warp(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """One interpolation for scale, rotation, shear and elastic displacement.

    The image linearly, with black outside; the labels as ``settings.shape.labels`` says, with
    background outside.
    """
    rules = settings.shape
    affine, elastic = chance(rng, rules.affine_chance), chance(rng, rules.elastic_chance)
    matrix = draw_matrix(rng, rules) if affine else np.eye(3)
    supports = small_normal((1, 3, *rules.supports), rng, image) if elastic else None
    if not (affine or elastic):
        return image, labels
    grid = sampling_grid(image, matrix, supports, rules)
    moved = F.grid_sample((image - BLACK)[None, None], grid, align_corners=False)[0, 0] + BLACK
    return moved.clamp(-1, 1), warp_labels(labels, grid, rules)


def draw_matrix(rng: np.random.Generator, rules: Shape) -> NDArray[np.float64]:
    """(3, 3), in mm along (x, y, z): from a place in the result to that in the window.

    A scale above 1 enlarges what the window shows.
    """
    scale = rng.uniform(*rules.scale)
    limits = (rules.tilt_degrees, rules.tilt_degrees, rules.turn_degrees)
    angles = [math.radians(rng.uniform(-limit, limit)) for limit in limits]
    matrix = np.eye(3) / scale
    for axis, angle in enumerate(angles):
        turn, (i, j) = np.eye(3), [a for a in range(3) if a != axis]
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = rng.uniform(-rules.shear, rules.shear, 3)
    return matrix @ shear


def sampling_grid(
    image: Tensor, matrix: NDArray[np.float64], supports: Tensor | None, rules: Shape
) -> Tensor:
    """(1, Z, Y, X, 3) for ``grid_sample``: ``matrix`` about the middle, then the displacement.

    ``supports`` (1, 3, z, y, x) hold standard normal displacements along x, y, z; they fade to
    none at the window's border only by chance, so that what leaves is lost.
    """
    half_mm = np.array(image.shape[::-1]) * np.array(rules.spacing_mm[::-1]) / 2  # x, y, z
    in_grid = torch.from_numpy(matrix * half_mm[None, :] / half_mm[:, None]).to(image)
    x, y, z = ((2 * torch.arange(n).to(image) + 1) / n - 1 for n in image.shape[::-1])
    # One row of the matrix after the other: on a processor half the time of affine_grid.
    parts = [(row[2] * z)[:, None, None] + (row[1] * y)[:, None] + row[0] * x for row in in_grid]
    if supports is not None:
        steps = torch.from_numpy(rules.elastic_mm / half_mm).to(image).view(1, 3, 1, 1, 1)
        size = list(image.shape)
        field = F.interpolate(supports * steps, size, mode="trilinear", align_corners=True)[0]
        parts = [part.add_(shift) for part, shift in zip(parts, field, strict=True)]
    return torch.stack(parts, -1)[None]


def warp_labels(labels: Tensor, grid: Tensor, rules: Shape) -> Tensor:
    """``labels`` (Z, Y, X) at ``grid``: the nearest one, or the class with the largest share.

    Shares are interpolated linearly, and only where the grid comes near a label: a window is
    mostly background. Labels to ignore are a class like any other here.
    """
    if rules.labels == "nearest":
        return _sample(labels.to(grid.dtype), grid, "nearest").to(labels.dtype)
    result = torch.zeros_like(labels)
    box = _box_near(labels, grid)
    if box is None:
        return result
    numbers = torch.unique(labels[labels > 0])
    classes = (labels == numbers.view(-1, 1, 1, 1)).to(grid.dtype)
    shares = F.grid_sample(classes[None], grid[(slice(None), *box)], align_corners=False)[0]
    best, which = shares.max(0)
    result[box] = numbers[which].masked_fill(1 - shares.sum(0) >= best, 0)
    return result


def _box_near(labels: Tensor, grid: Tensor) -> tuple[slice, ...] | None:
    """The box of the result in which ``grid`` comes within a voxel of a label; None if nowhere."""
    places = torch.nonzero(labels)
    if not len(places):
        return None
    sizes = torch.tensor(labels.shape, device=labels.device)
    ends = torch.stack([places.amin(0) - 1, places.amax(0) + 1])
    low, high = ((2 * ends.to(grid) + 1) / sizes - 1).flip(1)  # z, y, x to the grid's x, y, z
    near = torch.ones(labels.shape, dtype=torch.bool, device=labels.device)
    for axis, place in enumerate(grid[0].unbind(-1)):
        near &= (place >= low[axis]) & (place <= high[axis])
    if not bool(near.any()):
        return None
    found = [near.any(2).any(1), near.any(2).any(0), near.any(1).any(0)]
    spans = [torch.nonzero(line)[:, 0] for line in found]
    return tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(values[None, None], grid, mode=mode, align_corners=False)[0, 0]
