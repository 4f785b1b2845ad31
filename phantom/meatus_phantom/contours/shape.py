"""From planes of loops to voxels, without losing volume between the planes.

Signed distances of neighbouring planes are mixed linearly, and the level that counts as surface
is chosen so that each section between has the linearly interpolated area. A mix alone shrinks
small and slanting shapes (Raya and Udupa 1990 describe the mix; the level is this module's own).
Half a spacing is added beyond both end planes, so that the volume is that of the prisms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from meatus.geometry import Geometry
from meatus_phantom.contours.planes import Contour, Points, area_and_centre

PIXEL_MM = 0.2  # of the sections' signed distances
MARGIN_MM = 2.0
SECTION_MM = 0.1  # sections are computed this far apart at most

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sections:
    """Signed distances (mm, negative inside) of a structure's planes on one pixel grid."""

    frame: Points
    corner_mm: tuple[float, float]  # centre of the first pixel in the planes' axes
    offsets_mm: tuple[float, ...]
    distances: NDArray[np.float32]  # (planes, rows along axis 2, columns along axis 1)
    areas_mm2: Points
    overhang_mm: float  # beyond the end planes

    def at(self, offset_mm: float) -> NDArray[np.float32]:
        """The section at ``offset_mm``, its surface at zero: (rows, columns)."""
        at = np.interp(offset_mm, self.offsets_mm, np.arange(len(self.offsets_mm)))
        low = min(int(at), len(self.offsets_mm) - 2)
        share = float(at) - low
        mixed = (1 - share) * self.distances[low] + share * self.distances[low + 1]
        area = (1 - share) * self.areas_mm2[low] + share * self.areas_mm2[low + 1]
        return np.asarray(mixed - _level(mixed, float(area)), dtype=np.float32)


def prism_mm3(contour: Contour) -> float:
    """The sum over the planes of their area times the thickness that each stands for."""
    areas = [plane_area(plane) for plane in contour.loops]
    return float(np.array(areas) @ contour.thickness_mm)


def plane_area(loops: tuple[Points, ...]) -> float:
    """Area of the union of a plane's loops."""
    whole = sum(area_and_centre(loop)[0] for loop in loops)
    if not _may_overlap(loops):
        return whole
    corner, size = _lattice([loops])
    inside = _distance(loops, corner, size) < 0
    parts = sum(int((_distance((loop,), corner, size) < 0).sum()) for loop in loops)
    return whole * int(inside.sum()) / max(parts, 1)


def sections(contour: Contour) -> Sections:
    corner, size = _lattice(contour.loops)
    return Sections(
        frame=contour.frame,
        corner_mm=corner,
        offsets_mm=contour.offsets_mm,
        distances=np.stack([_distance(plane, corner, size) for plane in contour.loops]),
        areas_mm2=np.array([plane_area(plane) for plane in contour.loops]),
        overhang_mm=contour.spacing_mm / 2,
    )


def rasterise(contour: Contour, geometry: Geometry) -> Bits:
    """The voxels (Z, Y, X) of ``geometry`` whose centres lie in the structure."""
    inside = np.zeros(geometry.shape, dtype=np.bool_)
    window = _window(contour, geometry)
    if window is None:
        return inside
    start, size = window
    cut = geometry.crop(start, size)
    z, y, x = np.meshgrid(*(np.arange(n) for n in cut.shape), indexing="ij")
    steps = cut.axes * np.array(cut.spacing_mm)
    places = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1) @ steps.T + cut.origin_mm
    found = contains(sections(contour), places).reshape(cut.shape)
    i, j, k = start
    inside[k : k + size[2], j : j + size[1], i : i + size[0]] = found
    return inside


def contains(stack: Sections, points_mm: Points) -> Bits:
    """Which of ``points_mm`` (N, 3), in the patient's frame, lie in the structure."""
    turned = points_mm @ stack.frame.T
    low = stack.offsets_mm[0] - stack.overhang_mm
    high = stack.offsets_mm[-1] + stack.overhang_mm
    count = max(2, int(np.ceil((high - low) / SECTION_MM)) + 1)
    levels = np.linspace(low, high, count)
    near = (turned[:, 2] >= low) & (turned[:, 2] < high)
    nearest = np.rint((turned[:, 2] - low) / (levels[1] - levels[0])).astype(int)
    column = (turned[:, 0] - stack.corner_mm[0]) / PIXEL_MM
    row = (turned[:, 1] - stack.corner_mm[1]) / PIXEL_MM
    rows, columns = stack.distances.shape[1:]
    near &= (row > 0) & (row < rows - 1) & (column > 0) & (column < columns - 1)
    inside = np.zeros(len(points_mm), dtype=np.bool_)
    chosen = np.flatnonzero(near)
    chosen = chosen[np.argsort(nearest[chosen], kind="stable")]
    breaks = np.flatnonzero(np.diff(nearest[chosen])) + 1
    for group in np.split(chosen, breaks):
        if group.size:
            section = stack.at(float(levels[nearest[group[0]]]))
            at = np.stack([row[group], column[group]])
            inside[group] = map_coordinates(section, at, order=1) < 0
    return inside


def _level(mixed: Points, area_mm2: float) -> float:
    """The value below which pixels of ``mixed`` fill ``area_mm2``."""
    wanted = area_mm2 / PIXEL_MM**2
    flat = mixed.ravel()
    whole = min(max(int(wanted), 1), flat.size - 1)
    below, above = np.partition(flat, (whole - 1, whole))[whole - 1 : whole + 1]
    return float(below + (above - below) * (wanted - whole + 0.5))


def _lattice(
    planes: list[tuple[Points, ...]] | tuple[tuple[Points, ...], ...],
) -> tuple[tuple[float, float], tuple[int, int]]:
    """First pixel's centre and (rows, columns) of a grid that holds all loops."""
    points = np.concatenate([loop for plane in planes for loop in plane])
    low, high = points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM
    columns, rows = (int(n) + 1 for n in np.ceil((high - low) / PIXEL_MM))
    return (float(low[0]), float(low[1])), (rows, columns)


def _distance(
    loops: tuple[Points, ...], corner: tuple[float, float], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Exact signed distance (rows, columns) to the union of polygons."""
    x = (corner[0] + PIXEL_MM * np.arange(size[1])).astype(np.float32)[None, :]
    y = (corner[1] + PIXEL_MM * np.arange(size[0])).astype(np.float32)[:, None]
    joined = np.full(size, np.inf, dtype=np.float32)
    for loop in loops:
        squared = np.full(size, np.inf, dtype=np.float32)
        winding = np.zeros(size, dtype=np.int16)
        for (ax, ay), (bx, by) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            dx, dy = np.float32(bx - ax), np.float32(by - ay)
            px, py = x - np.float32(ax), y - np.float32(ay)
            along = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
            np.minimum(squared, (px - along * dx) ** 2 + (py - along * dy) ** 2, out=squared)
            rises, falls = (ay <= y) & (by > y), (ay > y) & (by <= y)
            side = dx * py - dy * px
            winding += (rises & (side > 0)).astype(np.int16)
            winding -= (falls & (side < 0)).astype(np.int16)
        distance = np.sqrt(squared) * np.where(winding != 0, -1, 1).astype(np.float32)
        joined = np.minimum(joined, distance)
    return joined


def _may_overlap(loops: tuple[Points, ...]) -> bool:
    boxes = [(loop.min(axis=0), loop.max(axis=0)) for loop in loops]
    return any(
        bool((a[0] <= b[1]).all() and (b[0] <= a[1]).all())
        for index, a in enumerate(boxes)
        for b in boxes[index + 1 :]
    )


def _window(
    contour: Contour, geometry: Geometry
) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """First voxel and size of the part of ``geometry`` that can hold the structure."""
    reach = contour.spacing_mm / 2 + MARGIN_MM
    points = contour.points_mm
    index = (points - geometry.origin_mm) @ geometry.axes / np.array(geometry.spacing_mm)
    pad = reach / np.array(geometry.spacing_mm)
    low = np.maximum(np.floor(index.min(axis=0) - pad), 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + pad), np.array(geometry.size) - 1).astype(int)
    if (high < low).any():
        return None
    x, y, z = (int(v) for v in low)
    u, v, w = (int(v) + 1 for v in high - low)
    return (x, y, z), (u, v, w)
