"""Closed surfaces drawn as contours at a few heights and joined smoothly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import grid_sample

from meatus_phantom.shapes import Vec

# One contour: its height and its points (x, y) in mm, any order.
Level = tuple[float, tuple[tuple[float, float], ...]]

ANGLES = 240
ROW_MM = 1.5  # between the rows of a table


@dataclass(frozen=True)
class Outline:
    """A surface about a straight axis: one radius for each direction and height.

    The axis runs through (x, y + tilt * z) of ``axis`` = (x, y, tilt). Above and below the table
    the last contour goes on.
    """

    axis: tuple[float, float, float]
    low_mm: float
    high_mm: float
    table: NDArray[np.float32]  # (2, rows, ANGLES + 1): radius, and distance per radial mm

    def __call__(self, points: Tensor) -> Tensor:
        """First-order distance: exact on the surface, near enough about it."""
        x = points[0] - self.axis[0]
        y = points[1] - (self.axis[1] + self.axis[2] * points[2])
        angle = torch.atan2(x, y) / math.pi
        height = (points[2] - self.low_mm) * (2 / (self.high_mm - self.low_mm)) - 1
        where = torch.stack((angle, height), dim=-1).reshape(1, 1, -1, 2)
        table = torch.tensor(self.table, device=points.device)[None]
        found = grid_sample(table, where, padding_mode="border", align_corners=True)
        radius, steep = found[0, :, 0].reshape(2, *x.shape)
        distance: Tensor = (torch.hypot(x, y) - radius) * steep
        return distance

    def point(self, x_mm: float, y_mm: float, z_mm: float, inward_mm: float = 0.0) -> Vec:
        """The surface's point in the direction of (x, y) from the axis at this height."""
        dx, dy = x_mm - self.axis[0], y_mm - self.axis[1] - self.axis[2] * z_mm
        rows, columns = self.table.shape[1] - 1, self.table.shape[2] - 1
        row = (z_mm - self.low_mm) / (self.high_mm - self.low_mm) * rows
        column = (math.atan2(dx, dy) / math.pi + 1) / 2 * columns
        radius = self.table[0, round(min(max(row, 0), rows)), round(column)]
        scale = (float(radius) - inward_mm) / math.hypot(dx, dy)
        return x_mm - dx + dx * scale, y_mm - dy + dy * scale, z_mm


def contours(text: str) -> tuple[Level, ...]:
    """Levels from text: each a height, a colon and points ``x,y``."""
    levels: list[tuple[float, list[tuple[float, float]]]] = []
    for word in text.split():
        if word.endswith(":"):
            levels.append((float(word[:-1]), []))
        else:
            x, y = word.split(",")
            levels[-1][1].append((float(x), float(y)))
    return tuple((height, tuple(points)) for height, points in levels)


def loft(
    levels: Sequence[Level],
    axis: tuple[float, float, float],
    rng: np.random.Generator,
    lump_mm: float,
    mirror: bool = True,
) -> Outline:
    """Join ``levels`` and roughen them by lumps of SD ``lump_mm``; no two sides are alike.

    Contours list the left half alone where ``mirror`` is set.
    """
    heights = np.array([z for z, _ in levels])
    rows = max(4, round((heights[-1] - heights[0]) / ROW_MM))
    z = np.linspace(heights[0], heights[-1], rows)
    angles = np.linspace(-np.pi, np.pi, ANGLES + 1)
    contours = [_radii(level, axis, angles, mirror) for level in levels]
    radius = PchipInterpolator(heights, np.stack(contours))(z)
    radius = radius + lump_mm * _lumps(rng, angles, z) * np.minimum(1, radius / 20)
    radius = np.maximum(radius, 0.5)
    along = np.gradient(radius, angles, axis=1) / radius
    up = np.gradient(radius, z, axis=0)
    steep = 1 / np.sqrt(1 + np.minimum(along**2, 4) + up**2)
    table = np.stack((radius, steep)).astype(np.float32)
    return Outline(axis, float(heights[0]), float(heights[-1]), table)


def _radii(
    level: Level,
    axis: tuple[float, float, float],
    angles: NDArray[np.float64],
    mirror: bool,
) -> NDArray[np.float64]:
    height, points = level
    if mirror:
        points = (*points, *((-x, y) for x, y in points if x > 0))
    x, y = np.array(points).T - np.array([[axis[0]], [axis[1] + axis[2] * height]])
    direction = np.arctan2(x, y)
    order = np.argsort(direction)
    turns = np.concatenate([direction[order] + turn for turn in (-2 * np.pi, 0, 2 * np.pi)])
    curve = Akima1DInterpolator(turns, np.tile(np.hypot(x, y)[order], 3))
    smooth = gaussian_filter1d(curve(angles[:-1]), ANGLES / 120, mode="wrap")
    return np.append(smooth, smooth[0])


def _lumps(
    rng: np.random.Generator, angles: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A field (rows, ANGLES + 1) of unit SD or so, periodic in the angle."""
    total = np.zeros((len(z), len(angles)))
    for order in range(1, 10):
        size = 1 / math.sqrt(order)
        turn, slow = rng.uniform(0, 2 * np.pi, 2)
        length = rng.uniform(25, 60)
        wave = np.cos(order * angles[None] + turn + (z[:, None] / length) * rng.normal(0, 1.5))
        total += size * wave * (0.7 + 0.5 * np.sin(z[:, None] / length * 2 + slow))
    return total / 1.3
