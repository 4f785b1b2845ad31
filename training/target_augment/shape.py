"""Flips, scale, rotation, shear and elastic displacement of image and labels together."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inference.intensity import BLACK
from training.target_augment.draws import chance, small_normal
from training.target_augment.settings import AugmentSettings, Shape

MARGIN = 2  # voxels about the labels within which a class may gain a voxel by interpolation


def flip(
    image: Tensor, labels: Tensor, draw: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """Reverse each axis with the same chance."""
    drawn = draw.random(3) < settings.shape.flip_chance
    axes = [axis for axis in range(3) if drawn[axis]]
    return (torch.flip(image, axes), torch.flip(labels, axes)) if axes else (image, labels)


def warp(
    image: Tensor, labels: Tensor, draw: np.random.Generator, settings: AugmentSettings
) -> tuple[Tensor, Tensor]:
    """One interpolation for scale, rotation, shear and elastic displacement.

    The image linearly, with black outside; the labels as ``settings.shape.labels`` says, with
    background outside.
    """
    rules = settings.shape
    affine, elastic = chance(draw, rules.affine_chance), chance(draw, rules.elastic_chance)
    matrix = draw_matrix(draw, rules) if affine else np.eye(3)
    supports = small_normal((1, 3, *rules.supports), draw, image) if elastic else None
    if not (affine or elastic):
        return image, labels
    grid = sampling_grid(image, matrix, supports, rules)
    moved = F.grid_sample((image - BLACK)[None, None], grid, align_corners=False)[0, 0] + BLACK
    return moved.clamp(-1, 1), warp_labels(labels, grid, rules)


def draw_matrix(draw: np.random.Generator, rules: Shape) -> NDArray[np.float64]:
    """(3, 3), in mm along (x, y, z): from a place in the result to that in the window.

    A scale above 1 enlarges what the window shows.
    """
    scale = draw.uniform(*rules.scale)
    limits = (rules.tilt_degrees, rules.tilt_degrees, rules.turn_degrees)
    angles = [math.radians(draw.uniform(-limit, limit)) for limit in limits]
    matrix = np.eye(3) / scale
    for axis, angle in enumerate(angles):
        turn, (i, j) = np.eye(3), [a for a in range(3) if a != axis]
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = draw.uniform(-rules.shear, rules.shear, 3)
    return matrix @ shear


def sampling_grid(
    image: Tensor, matrix: NDArray[np.float64], supports: Tensor | None, rules: Shape
) -> Tensor:
    """(1, Z, Y, X, 3) for ``grid_sample``: ``matrix`` about the middle, then the displacement.

    ``supports`` (1, 3, z, y, x) hold standard normal displacements along x, y, z; they fade to
    none at the window's border only by chance, so that what leaves is lost.
    """
    half_mm = np.array(image.shape[::-1]) * np.array(rules.spacing_mm[::-1]) / 2  # x, y, z
    in_grid = matrix * half_mm[None, :] / half_mm[:, None]
    theta = torch.from_numpy(np.hstack([in_grid, np.zeros((3, 1))])).to(image)
    grid = F.affine_grid(theta[None], [1, 1, *image.shape], align_corners=False)
    if supports is None:
        return grid
    size = list(image.shape)
    field = F.interpolate(supports, size, mode="trilinear", align_corners=True)
    steps = torch.from_numpy(rules.elastic_mm / half_mm).to(image)
    return grid + field.permute(0, 2, 3, 4, 1) * steps


def warp_labels(labels: Tensor, grid: Tensor, rules: Shape) -> Tensor:
    """``labels`` (Z, Y, X) at ``grid``: the nearest one, or the class with the largest share.

    Shares are interpolated linearly for one class after the other, and only about the labels:
    a window is mostly background. Labels to ignore are a class like any other here.
    """
    nearest = _sample(labels.to(grid.dtype), grid, "nearest").to(labels.dtype)
    places = torch.nonzero(nearest)
    if rules.labels == "nearest" or not len(places):
        return nearest
    low = (places.amin(0) - MARGIN).clamp(min=0).tolist()
    high = (places.amax(0) + MARGIN + 1).tolist()
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = grid[(slice(None), *box)]
    best = torch.zeros(part.shape[1:4], dtype=grid.dtype, device=grid.device)
    chosen = torch.zeros_like(best, dtype=labels.dtype)
    rest = torch.ones_like(best)
    for number in [n for n in torch.unique(labels).tolist() if n]:
        share = _sample((labels == number).to(grid.dtype), part, "bilinear")
        better = share > best
        best, chosen = torch.where(better, share, best), chosen.masked_fill(better, number)
        rest = rest - share
    result = torch.zeros_like(labels)
    result[box] = chosen.masked_fill(rest >= best, 0)
    return result


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(values[None, None], grid, mode=mode, align_corners=False)[0, 0]
