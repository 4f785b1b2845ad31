"""A real patient's tumour at a phantom's ear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from meatus_phantom.anatomy.grids import Grid
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.tumour.place import fit_pose
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.contours.planes import Points
from meatus_phantom.contours.read import Patient
from meatus_phantom.contours.shape import contains, sections
from meatus_phantom.parts import Box, Distance

STEP_MM = 0.4
PAD_MM = 3.0
SMOOTH_MM = 0.5  # takes the terraces between drawn planes away
FIT_POINTS = 500
WAVE_MM, BEND_MM = 20.0, 0.6  # of the smooth deformation


def usable(patient: Patient) -> bool:
    """Whether the tumour can be placed: its cochlea is drawn, and lies lateral of it."""
    if patient.cochlea is None:
        return False
    return patient.side * (patient.cochlea.centre_mm[0] - patient.tumour.centre_mm[0]) > 0


def tumour_grid(patient: Patient) -> Grid:
    """Signed distance to the tumour about its cochlea's centre, as if on the left: x lateral,
    y anterior, z up."""
    assert patient.cochlea is not None
    centre = np.array(patient.cochlea.centre_mm)
    to_left = np.array([patient.side, -1.0, 1.0])
    drawn = (patient.tumour.points_mm - centre) * to_left
    pad = PAD_MM + patient.tumour.spacing_mm / 2
    low, high = drawn.min(axis=0) - pad, drawn.max(axis=0) + pad
    axes = [np.arange(a, b + STEP_MM, STEP_MM) for a, b in zip(low, high, strict=True)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    places = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1) * to_left + centre
    inside = contains(sections(patient.tumour), places).reshape(x.shape)
    values = torch.tensor(_smooth_distance(inside))[None]
    return Grid(values, (float(low[0]), float(low[1]), float(low[2])), STEP_MM)


def place_tumour(
    grid: Grid, ear: Ear, volume_scale: float, rng: np.random.Generator
) -> tuple[Distance, Box]:
    """The tumour of ``grid`` at a left ear, scaled and smoothly deformed, and where it lies.

    The distance knows nothing of bone: it is to be limited to the room at the ear.
    """
    pose = fit_pose(grid, _inside_points(grid), ear, volume_scale ** (1 / 3))
    waves = [draw_waves(rng, WAVE_MM, 3) for _ in range(3)]

    def distance(points: Tensor) -> Tensor:
        bend = torch.stack([wave(points) for wave in waves]) * BEND_MM
        return grid.distance(pose.from_ear(points + bend)) * pose.scale

    corners = grid.box
    points = torch.cartesian_prod(
        *(torch.tensor(pair) for pair in zip(corners.low, corners.high, strict=True))
    ).T
    placed = pose.to_ear(points)
    low, high = placed.amin(1).tolist(), placed.amax(1).tolist()
    return distance, Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _inside_points(grid: Grid) -> Points:
    """About ``FIT_POINTS`` points (N, 3) evenly spread through the shape."""
    z, y, x = np.nonzero(grid.values[0].numpy() < 0)
    pick = slice(None, None, max(1, len(x) // FIT_POINTS))
    index = np.stack([x[pick], y[pick], z[pick]], axis=1)
    return np.asarray(index * grid.step_mm + np.array(grid.low))


def _smooth_distance(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Signed distance in mm, smoothed, its level set so that the volume stays."""
    outward = distance_transform_edt(~inside) - distance_transform_edt(inside)
    signed = outward - 0.5 * np.sign(outward)  # the surface lies between two voxels
    smooth = gaussian_filter(signed * STEP_MM, SMOOTH_MM / STEP_MM)
    count = int(inside.sum())
    level = np.partition(smooth.ravel(), count)[count]
    return np.asarray(smooth - level, dtype=np.float32)
