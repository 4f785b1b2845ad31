"""Grids of scans: resolution, field of view, slab, tilt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from meatus.geometry import Geometry

FIELD_OF_VIEW_MM = (180.0, 230.0)
MOST_PIXELS = 512
MOST_SLICES = 160
CENTRE_Y_MM = 5.0  # a head's middle lies anterior of the line between the pori
AXIAL = np.eye(3)
# Columns: to the left, down, backwards.
CORONAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Grids:
    """What a site's grids may be; one of ``matrices`` where it keeps to a few."""

    matrices: tuple[tuple[float, int], ...]  # pixel size in mm, pixels along x and y
    slices_mm: tuple[float, ...]
    slab_mm: tuple[float, float]
    in_plane_mm: tuple[float, float] = (0.4, 0.9)  # otherwise: pixel size, field of view drawn
    tilt_deg: float = 3.0  # largest; a slab is laid along the canals or the skull base
    coronal: float = 0.0  # probability


def draw_geometry(rng: np.random.Generator, grids: Grids) -> Geometry:
    """A grid whose slab holds the canals, with the offsets of a technician's planning."""
    coronal = rng.random() < grids.coronal
    pixel_mm, pixels = _in_plane(rng, grids)
    slice_mm = float(rng.choice(grids.slices_mm))
    slab_mm = rng.uniform(*grids.slab_mm)
    slices = min(max(round(slab_mm / slice_mm), 11), MOST_SLICES)
    pitch = float(np.clip(rng.normal(0, grids.tilt_deg / 2), -grids.tilt_deg, grids.tilt_deg))
    roll = float(np.clip(rng.normal(0, grids.tilt_deg / 6), -5, 5))
    turned = _turn(pitch, roll) @ (CORONAL if coronal else AXIAL)
    # The slab may be off the canals' level, never so far that they lie near its end.
    room_mm = max(slices * slice_mm / 2 - 12.0, 0.0)
    off_mm = float(np.clip(rng.normal(0, 5), -room_mm, room_mm))
    middle = np.array([rng.normal(0, 4), -CENTRE_Y_MM + rng.normal(0, 5), rng.normal(0, 2)])
    if coronal:
        middle = np.array([middle[0], rng.normal(0, 3), rng.normal(0, 12)])
    middle = middle + turned[:, 2] * off_mm
    half = np.array([(pixels - 1) * pixel_mm / 2] * 2 + [(slices - 1) * slice_mm / 2])
    origin = middle - turned @ half
    return Geometry(
        size=(pixels, pixels, slices),
        spacing_mm=(pixel_mm, pixel_mm, slice_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(v) for v in turned.ravel()),
    )


def _in_plane(rng: np.random.Generator, grids: Grids) -> tuple[float, int]:
    if grids.matrices:
        return grids.matrices[int(rng.integers(len(grids.matrices)))]
    low, high = grids.in_plane_mm
    pixel_mm = float(np.exp(rng.uniform(math.log(low), math.log(high))))
    view_mm = rng.uniform(*FIELD_OF_VIEW_MM)
    pixels = min(16 * round(view_mm / pixel_mm / 16), MOST_PIXELS)
    return round(pixel_mm, 4), pixels


def _turn(pitch_deg: float, roll_deg: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Rotation about the left-right axis, then about the other axis of the slab's plane."""
    a, b = math.radians(pitch_deg), math.radians(roll_deg)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    return np.asarray(about_x @ about_y)
