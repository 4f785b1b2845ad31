"""Parallel images as a volume: which belong together, in which order, whether one is missing.

Everything is taken from positions and directions in the patient, never from file names or instance
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from meatus.dicom.headers import Image, Plane, Traits
from meatus.errors import ScanError
from meatus.geometry import Geometry
from meatus.io.checks import FEWEST_SLICES
from meatus.io.headers import Floats, grid, volume_size

# Two images nearer than this lie at one place; headers round to a hundredth at the coarsest.
SAME_PLACE_MM = 0.01

# What a slice's place may be off an even row of slices, as a share of their distance. Below the
# first it is rounding, up to the second it is told; beyond, structures would be bent.
ROUNDED, UNEVEN = 0.02, 0.1

# Where slices are missing, those beside them may lie so far apart, as thick slices do (crossMoDA
# has up to 3.5 mm); the missing ones are interpolated for the network alone, and told.
MOST_GAP_MM = 3.0
MOST_MISSING = 0.1  # of all slices; one may always be

# Slices that are shifted in their plane, each a bit more than the one before (a tilted gantry),
# are pushed back where the last one is off by more than this share of a pixel.
TILTED_PIXELS = 0.5
JITTER_MM = 0.3  # from the straight line that such a shift follows


@dataclass(frozen=True)
class Stack:
    """The parallel images of one series, of one size, echo and kind; not yet in order."""

    traits: Traits
    planes: tuple[Plane, ...]
    cut: tuple[Plane, ...] = ()  # of these the file ends before the pixels do

    @property
    def step_mm(self) -> float:
        """Between slices, by their places; 0 for one image."""
        places = np.unique(np.round(_depths_mm(self.planes), 2))
        return float(np.median(np.diff(places))) if places.size > 1 else 0.0

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return (*self.planes[0].spacing_mm, self.step_mm)

    @property
    def te_ms(self) -> float | None:
        return self.planes[0].echo_ms if self.planes[0].echo_ms is not None else self.traits.te_ms

    @property
    def field_mm(self) -> tuple[float, float, float]:
        """Extent of the field from left to right, front to back, and bottom to top."""
        first = self.planes[0]
        axes = np.stack([first.row, first.column, np.cross(first.row, first.column)])
        extent = np.array([first.size[0], first.size[1], len(self.planes)]) * self.spacing_mm
        x, y, z = (np.abs(axes) * extent[:, None]).max(axis=0).tolist()
        return x, y, z


@dataclass(frozen=True)
class Placed:
    """The images of a stack on the grid of a volume."""

    geometry: Geometry
    planes: tuple[Plane, ...]  # in the order of the grid's slices
    slices: tuple[int, ...]  # the slice (z index) of each plane
    shifts: tuple[tuple[float, float], ...]  # pixels (x, y) to push each back by, mostly 0
    warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[int, ...]:
        """Slices of the grid that no image shows."""
        return tuple(sorted(set(range(self.geometry.size[2])) - set(self.slices)))


def stacks_of(images: Iterable[Image]) -> list[Stack]:
    """The images of one series (each once) as stacks, that with most images first."""
    groups: dict[tuple[object, ...], list[tuple[Plane, Image]]] = {}
    for image in images:
        for plane in image.planes:
            groups.setdefault(_kind(plane), []).append((plane, image))
    stacks = [
        Stack(
            members[0][1].traits,
            tuple(plane for plane, _ in members),
            tuple(plane for plane, image in members if image.cut),
        )
        for members in groups.values()
    ]
    return sorted(stacks, key=lambda stack: -len(stack.planes))


def _kind(plane: Plane) -> tuple[object, ...]:
    axes = tuple(round(cosine, 3) + 0.0 for cosine in (*plane.row, *plane.column))
    spacing = tuple(round(width, 4) for width in plane.spacing_mm)
    return axes, plane.size, spacing, plane.echo_ms, plane.component


def place(stack: Stack) -> Placed:
    """The volume's grid, and where each image lies on it.

    Slices run along the normal of the images as SimpleITK has them: row x column. Raises
    ``ScanError`` where they make no even volume.
    """
    planes, repeated = _each_place_once(stack)
    if len(planes) < FEWEST_SLICES:
        raise ScanError(
            f"{len(planes)} slice(s); expected at least {FEWEST_SLICES} parallel ones. Pass the "
            "folder with all files of the series."
        )
    depths = _depths_mm(planes)
    slices, missing = _slices(planes, depths)
    step = float(depths[-1] - depths[0]) / slices[-1]
    uneven = _check_even(planes, depths, slices, step)
    shifts, tilted = _shifts(planes, slices, step)
    first = planes[0]
    size = volume_size([*first.size, slices[-1] + 1])
    axes = np.stack([first.row, first.column, _normal(first)], axis=1)
    spacing = np.array([*first.spacing_mm, step])
    geometry, repaired = grid(size, spacing, axes, np.array(first.position_mm))
    warnings = (*repeated, *missing, *uneven, *tilted, *repaired)
    return Placed(geometry, tuple(planes), tuple(slices), shifts, warnings)


def _normal(plane: Plane) -> Floats:
    normal = np.cross(plane.row, plane.column)
    length = np.linalg.norm(normal)
    if not length > 0.5:  # also where it is no number
        raise ScanError("its images' rows and columns do not span a plane. Export it again.")
    return np.asarray(normal / length)


def _depths_mm(planes: Sequence[Plane]) -> Floats:
    """Places along the normal of the first, in no order of their own."""
    normal = np.cross(planes[0].row, planes[0].column)
    return np.asarray(np.array([plane.position_mm for plane in planes]) @ normal)


def _each_place_once(stack: Stack) -> tuple[list[Plane], tuple[str, ...]]:
    """The planes in order; of several at one place the first by instance number."""
    depths = _depths_mm(stack.planes)
    if not np.isfinite(depths).all():
        raise ScanError("an image's place in the patient is no number. Export the series again.")
    order = sorted(
        range(depths.size), key=lambda n: (depths[n], stack.planes[n].number or 0, n)
    )  # fmt: skip
    kept = [order[0]]
    for n in order[1:]:
        if depths[n] - depths[kept[-1]] > SAME_PLACE_MM:
            kept.append(n)
    twice = len(order) - len(kept)
    if twice >= len(kept) > 1:
        raise ScanError(
            f"{len(order)} images at {len(kept)} places: several volumes in one series, such as "
            "time points. Export the hrT2 volume as a series of its own."
        )
    told = f"{twice} image(s) at a place that another has are left out" if twice else ""
    return [stack.planes[n] for n in kept], (told,) if told else ()


def _slices(planes: Sequence[Plane], depths: Floats) -> tuple[list[int], tuple[str, ...]]:
    """The slice number of each plane, and which slices are missing."""
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    steps = np.maximum(np.rint(gaps / usual), 1).astype(int)
    slices = [0, *np.cumsum(steps).tolist()]
    lost = slices[-1] + 1 - len(planes)
    if not lost:
        return slices, ()
    widest = int(np.argmax(gaps))
    where = (
        f"{lost} slice(s) missing, at most {gaps[widest]:.2f} mm apart where others are "
        f"{usual:.2f}, as after instance {planes[widest].number}"
    )
    if gaps[widest] > MOST_GAP_MM + SAME_PLACE_MM or lost > max(MOST_MISSING * slices[-1], 1):
        raise ScanError(
            f"{where}; gaps up to {MOST_GAP_MM:g} mm, and one slice or one in ten, "
            "are filled. Export the whole series again."
        )
    return slices, (f"{where}: filled in from their neighbours",)


def _check_even(
    planes: Sequence[Plane], depths: Floats, slices: Sequence[int], step: float
) -> tuple[str, ...]:
    off = np.abs(depths - depths[0] - np.array(slices) * step)
    worst = int(np.argmax(off))
    words = (
        f"slices unevenly spaced: instance {planes[worst].number} lies {off[worst]:.2f} mm off "
        f"a row of {step:.2f} mm"
    )
    if off[worst] > UNEVEN * step:
        raise ScanError(
            f"{words}, more than {UNEVEN:.0%} of it. Export the original series, not a selection."
        )
    return (f"{words}: taken as even",) if off[worst] > max(ROUNDED * step, SAME_PLACE_MM) else ()


def _shifts(
    planes: Sequence[Plane], slices: Sequence[int], step: float
) -> tuple[tuple[tuple[float, float], ...], tuple[str, ...]]:
    """Pixels by which each plane lies off the first one's normal, where that matters."""
    first = planes[0]
    moved = np.array([plane.position_mm for plane in planes]) - first.position_mm
    in_plane = moved @ np.stack([first.row, first.column], axis=1)  # mm, (n, 2)
    per_slice = in_plane[-1] / slices[-1]
    off_line = np.abs(in_plane - np.outer(slices, per_slice)).max()
    if off_line > JITTER_MM:
        raise ScanError(
            f"slices shifted against one another by up to {off_line:.1f} mm within their plane; "
            "expected them on a straight line. Export the original series."
        )
    pixels = in_plane / first.spacing_mm
    still = tuple((0.0, 0.0) for _ in planes)
    if np.abs(pixels).max() <= TILTED_PIXELS:
        return still, ()
    angle = math.degrees(math.atan2(float(np.linalg.norm(per_slice)), step))
    told = f"slices tilted by {angle:.1f} degrees (gantry): pushed back within their plane"
    return tuple((float(x), float(y)) for x, y in pixels), (told,)
