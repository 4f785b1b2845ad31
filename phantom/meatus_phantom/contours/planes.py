"""Loops of one structure, checked and sorted into the parallel planes they were drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.errors import ContourError

Points = NDArray[np.float64]

CLOSED_MM = 0.05  # a loop's last point repeats its first; coordinates are rounded to 0.01 mm
FEWEST_PLANES = 2
# Slices of 0.25 to 10 mm and structures of 2 to 120 mm: in cm or metres neither fits.
SPACING_MM = (0.25, 10.0)
EXTENT_MM = (2.0, 120.0)
SAME_PLANE_MM = 0.2  # loops farther apart than this lie on two planes
FLAT = 0.35  # a point may leave its plane by this share of the spacing


@dataclass(frozen=True, eq=False)
class Contour:
    """A structure: parallel planes, lowest first, each holding one or more closed loops.

    The loops of one plane are separate pieces; where they overlap, their union counts.
    """

    name: str
    frame: Points  # (3, 3): rows are two axes in the planes and the planes' normal
    offsets_mm: tuple[float, ...]  # of each plane along the normal
    loops: tuple[tuple[Points, ...], ...]  # by plane: (N, 2) in the plane's axes, not closed

    @cached_property
    def spacing_mm(self) -> float:
        return float(np.median(np.diff(self.offsets_mm)))

    @cached_property
    def thickness_mm(self) -> Points:
        """What each plane stands for: half way to both neighbours, half a spacing at the ends."""
        at = np.array(self.offsets_mm)
        ends = [at[0] - self.spacing_mm / 2, at[-1] + self.spacing_mm / 2]
        borders = np.concatenate([ends[:1], (at[1:] + at[:-1]) / 2, ends[1:]])
        return np.diff(borders)

    @cached_property
    def points_mm(self) -> Points:
        """All points (N, 3) in the patient's frame."""
        flat = [
            np.column_stack([loop, np.full(len(loop), offset)])
            for offset, plane in zip(self.offsets_mm, self.loops, strict=True)
            for loop in plane
        ]
        return np.asarray(np.concatenate(flat) @ self.frame)

    @cached_property
    def extent_mm(self) -> tuple[float, float, float]:
        """The bounding box of the points, without the half spacings at the ends."""
        x, y, z = np.ptp(self.points_mm, axis=0)
        return float(x), float(y), float(z)

    @cached_property
    def centre_mm(self) -> tuple[float, float, float]:
        """Centroid in the patient's frame: each loop weighs as its area and thickness."""
        moment, total = np.zeros(3), 0.0
        planes = zip(self.offsets_mm, self.loops, self.thickness_mm, strict=True)
        for offset, plane, thickness in planes:
            for loop in plane:
                area, middle = area_and_centre(loop)
                moment += area * thickness * np.array([*middle, offset])
                total += area * thickness
        x, y, z = (moment / total) @ self.frame
        return float(x), float(y), float(z)


def area_and_centre(loop: Points) -> tuple[float, Points]:
    """Area (positive) and centroid of a polygon (N, 2)."""
    start = loop - loop[0]
    end = np.roll(start, -1, axis=0)
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    twice = float(cross.sum())
    if abs(twice) < 1e-9:
        return 0.0, loop.mean(axis=0)
    return abs(twice) / 2, loop[0] + ((start + end) * cross[:, None]).sum(axis=0) / (3 * twice)


def stack_planes(path: Path, name: str, points: Any) -> Contour:
    """The structure ``name`` of ``path`` from its loops as JSON gave them."""
    if not isinstance(points, list):
        raise ContourError(path, name, "its points are not a list of loops")
    loops = [_loop(path, name, index, loop) for index, loop in enumerate(points)]
    if not loops:
        raise ContourError(path, name, "has no planes; expected closed loops on 2 or more")
    _check_extent(path, name, np.ptp(np.concatenate(loops), axis=0))
    frame = _frame(loops)
    turned = sorted((loop @ frame.T for loop in loops), key=lambda loop: float(loop[:, 2].mean()))
    planes: list[list[Points]] = []
    for loop in turned:
        if planes and abs(loop[:, 2].mean() - planes[-1][0][:, 2].mean()) < SAME_PLANE_MM:
            planes[-1].append(loop)
        else:
            planes.append([loop])
    if len(planes) < FEWEST_PLANES:
        raise ContourError(path, name, f"has {len(planes)} plane; expected 2 or more")
    offsets = tuple(float(np.concatenate(plane)[:, 2].mean()) for plane in planes)
    _check_planes(path, name, offsets, planes)
    flat = tuple(tuple(loop[:, :2] for loop in plane) for plane in planes)
    return Contour(name, frame, offsets, flat)


def _loop(path: Path, name: str, index: int, loop: Any) -> Points:
    place = f"loop {index + 1}"
    try:
        points = np.array(loop, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ContourError(path, name, f"{place} is not a list of [x, y, z]") from error
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ContourError(path, name, f"{place} is not a list of [x, y, z]")
    gap = float(np.linalg.norm(points[-1] - points[0]))
    if gap > CLOSED_MM:
        raise ContourError(
            path, name, f"{place} is open: it ends {gap:.2f} mm from its start; close it"
        )
    apart = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
    points = np.asarray(points[:-1][apart])  # without repeated points and the closing one
    if len(points) < 3:
        raise ContourError(path, name, f"{place} has {len(points)} points; expected 3 or more")
    return points


def _frame(loops: list[Points]) -> Points:
    """Axes whose third is the planes' common normal, upward, and whose first is nearly x."""
    centred = np.concatenate([loop - loop.mean(axis=0) for loop in loops])
    normal = np.linalg.svd(centred, full_matrices=False)[2][2]
    normal = normal * np.sign(normal[np.argmax(np.abs(normal))])
    towards = np.eye(3)[int(np.argmin(np.abs(normal)))] if abs(normal[0]) > 0.9 else np.eye(3)[0]
    first = towards - (towards @ normal) * normal
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])


def _check_extent(path: Path, name: str, extent: Points) -> None:
    largest = float(extent.max())
    if not EXTENT_MM[0] <= largest <= EXTENT_MM[1]:
        raise ContourError(
            path,
            name,
            f"is {largest:.3g} mm long; expected {EXTENT_MM[0]:g} to {EXTENT_MM[1]:g} mm: "
            "are the points in millimetres?",
        )


def _check_planes(
    path: Path, name: str, offsets: tuple[float, ...], planes: list[list[Points]]
) -> None:
    spacing = float(np.median(np.diff(offsets)))
    if not SPACING_MM[0] <= spacing <= SPACING_MM[1]:
        raise ContourError(
            path,
            name,
            f"its planes lie {spacing:.3g} mm apart; expected {SPACING_MM[0]:g} to "
            f"{SPACING_MM[1]:g} mm: are the points in millimetres?",
        )
    for offset, plane in zip(offsets, planes, strict=True):
        away = max(float(np.abs(loop[:, 2] - offset).max()) for loop in plane)
        if away > FLAT * spacing:
            raise ContourError(
                path, name, f"a loop leaves its plane by {away:.2f} mm; expected parallel planes"
            )
