"""Signed distances in millimetres, negative inside; points are (3, ...) tensors of x, y, z.

Distances of primitives are exact outside and inside unless the docstring says otherwise; formulae
after I. Quilez, "Distance functions" (public articles), written anew in torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

Vec = tuple[float, float, float]


def vec(values: Vec, like: Tensor) -> Tensor:
    """``values`` as a tensor (3, 1, ...) that broadcasts with points ``like``."""
    shape = (3,) + (1,) * (like.dim() - 1)
    return torch.tensor(values, dtype=like.dtype, device=like.device).reshape(shape)


def length(vectors: Tensor) -> Tensor:
    """Euclidean length (...) of vectors (3, ...); several times quicker than a general norm."""
    x, y, z = vectors
    return torch.addcmul(torch.addcmul(x * x, y, y), z, z).sqrt_()


def ball(points: Tensor, centre: Vec, radius: float) -> Tensor:
    return length(points - vec(centre, points)) - radius


def ellipsoid(points: Tensor, centre: Vec, radii: Vec) -> Tensor:
    """First-order distance to an ellipsoid: exact on the surface, near enough about it."""
    away = points - vec(centre, points)
    scaled = length(away / vec(radii, points))
    slope = length(away / vec((radii[0] ** 2, radii[1] ** 2, radii[2] ** 2), points))
    return scaled * (scaled - 1) / slope.clamp_min(1e-6)


def capsule(
    points: Tensor, start: Vec, end: Vec, radius: float, end_radius: float | None = None
) -> Tensor:
    """A tube with round ends; its radius runs linearly to ``end_radius`` (then first-order)."""
    a, b = vec(start, points), vec(end, points)
    axis = b - a
    along = ((points - a) * axis).sum(0) / (axis * axis).sum().clamp_min(1e-9)
    along = along.clamp(0, 1)
    width = radius if end_radius is None else radius + (end_radius - radius) * along
    return length(points - a - axis * along) - width


def tube(points: Tensor, line: Sequence[Vec], radii: Sequence[float]) -> Tensor:
    """Capsules along the polyline ``line`` with a radius at each of its points."""
    pieces = zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True)
    first, *rest = pieces
    distance = capsule(points, *first)
    for piece in rest:
        distance = torch.minimum(distance, capsule(points, *piece))
    return distance


def half_space(points: Tensor, through: Vec, normal: Vec) -> Tensor:
    """Negative on the side that ``normal`` (unit) points away from."""
    return ((points - vec(through, points)) * vec(normal, points)).sum(0)


def box(points: Tensor, centre: Vec, half: Vec, rounding: float = 0.0) -> Tensor:
    outside = (points - vec(centre, points)).abs() - (vec(half, points) - rounding)
    return length(outside.clamp_min(0)) + outside.amax(0).clamp_max(0) - rounding


def union(*distances: Tensor) -> Tensor:
    return reduce(torch.minimum, distances)


def both(*distances: Tensor) -> Tensor:
    return reduce(torch.maximum, distances)


def smooth_union(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """Union whose seam is rounded over ``blend`` millimetres (polynomial minimum)."""
    share = ((b - a) / (2 * blend) + 0.5).clamp(0, 1)
    return b + (a - b) * share - blend * share * (1 - share)


def smooth_both(a: Tensor, b: Tensor, blend: float) -> Tensor:
    return -smooth_union(-a, -b, blend)
