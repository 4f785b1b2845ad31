"""Lines through space, the boxes about them, and parts written for the left side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from meatus_phantom.parts import Box, Distance, Part, mirrored
from meatus_phantom.shapes import Vec, tube
from meatus_phantom.tissues import Tissue

Line = Sequence[Vec]
FAR_MM = 2.0  # thin shapes' distances are exact below this and cut off above it
EDGE_MM = 1.0  # room in a box for the edge that voxels of up to 2 mm share
PIECE = 4  # segments of a tube that are tested and computed together


def on_side(part: Part, side: int) -> Part:
    """A part of the left side on ``side``."""
    if side > 0:
        return part
    return replace(part, distance=mirrored(part.distance, side), box=part.box.mirrored())


def box_about(points: Line, margin_mm: float) -> Box:
    """The upright box that holds balls of ``margin_mm`` about ``points``."""
    at = np.asarray(points, dtype=np.float64)
    return Box(as_vec(at.min(0)), as_vec(at.max(0))).grown(margin_mm)


def as_vec(values: NDArray[np.float64]) -> Vec:
    return float(values[0]), float(values[1]), float(values[2])


def curve(points: Line, count: int) -> list[Vec]:
    """``count`` points along a smooth curve through ``points``."""
    at = np.asarray(points, dtype=np.float64)
    steps = np.linalg.norm(np.diff(at, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    where = np.linspace(0, along[-1], count)
    return [as_vec(row) for row in CubicSpline(along, at)(where)]


def near(distance: Distance, box: Box, far_mm: float = FAR_MM) -> Distance:
    """``distance`` where it matters: computed inside ``box`` alone, ``far_mm`` outside it.

    A part's window is cut in whole blocks of voxels, mostly far wider than a thin shape.
    """

    def here(points: Tensor) -> Tensor:
        flat = points.reshape(3, -1)
        found = _inside(flat, box)
        result = flat.new_full((flat.shape[1],), far_mm)
        if len(found):
            result[found] = distance(flat[:, found])
        return result.reshape(points.shape[1:])

    return here


def pipe_distance(line: Line, radii: Sequence[float]) -> Distance:
    """A tube along ``line`` whose radius runs evenly through ``radii``; at most ``FAR_MM``."""
    widths: list[float] = np.interp(
        np.linspace(0, 1, len(line)), np.linspace(0, 1, len(radii)), np.asarray(radii)
    ).tolist()
    pieces = []
    for start in range(0, len(line) - 1, PIECE):
        here = slice(start, start + PIECE + 1)
        box = box_about(line[here], max(widths[here]) + FAR_MM)
        pieces.append((box, line[here], widths[here]))

    def distance(points: Tensor) -> Tensor:
        flat = points.reshape(3, -1)
        result = flat.new_full((flat.shape[1],), FAR_MM)
        for box, part, radius in pieces:
            found = _inside(flat, box)
            if len(found):
                result[found] = torch.minimum(result[found], tube(flat[:, found], part, radius))
        return result.reshape(points.shape[1:])

    return distance


def pipe(tissue: Tissue, line: Line, radii: Sequence[float], soft: bool = False) -> Part:
    """A vessel, nerve or bony canal along ``line``."""
    box = box_about(line, max(radii) + EDGE_MM)
    return Part(tissue, near(pipe_distance(line, radii), box), box, soft=soft)


def _inside(flat: Tensor, box: Box) -> Tensor:
    """Indices of the points (3, N) within ``box``, axis after axis: each leaves fewer to test."""
    found: Tensor | None = None
    for axis in (2, 0, 1):
        along = flat[axis] if found is None else flat[axis][found]
        kept = ((along >= box.low[axis]) & (along <= box.high[axis])).nonzero()[:, 0]
        found = kept if found is None else found[kept]
    assert found is not None
    return found
