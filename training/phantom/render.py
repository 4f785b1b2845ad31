"""Cuts through the head: parts painted one over another, averaged over the slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from inference.geometry import Array, Geometry
from training.phantom.appearance import TEXTURE, Tissue
from training.phantom.fields import Field, draw_field
from training.phantom.shapes import Part, Plane, window_of

# Beyond this height from the canals nothing small is drawn, so slices need no sub-slices.
NEAR_EAR_MM = 13.0


@dataclass(frozen=True)
class Pose:
    """How the head lies in the grid, and the fields that make it this head."""

    geometry: Geometry
    turn: NDArray[np.float64]  # (3, 3): grid axes to (left, anterior, up)
    centre_mm: NDArray[np.float64]  # (3,) grid position of the anatomical origin
    scale: float
    warp: tuple[Field, Field, Field]
    warp_mm: float
    fields: tuple[Field, Field, Field]  # lumps, ripple, grain

    def plane(self, z_mm: float) -> Plane:
        """The cut at height ``z_mm`` of the grid."""
        sizes, spacing = self.geometry.size, self.geometry.spacing_mm
        x = (np.arange(sizes[0]) * spacing[0] - self.centre_mm[0]).astype(np.float32)[None, :]
        y = (np.arange(sizes[1]) * spacing[1] - self.centre_mm[1]).astype(np.float32)[:, None]
        z = np.float32(z_mm - self.centre_mm[2])
        at = []
        for row, field in zip(self.turn.astype(np.float32), self.warp, strict=True):
            straight = (row[0] * x + row[1] * y + row[2] * z) / np.float32(self.scale)
            at.append(straight + np.float32(self.warp_mm) * field.plane(z_mm))
        lumps, ripple, grain = (field.plane(z_mm) for field in self.fields)
        return Plane(at[0], at[1], at[2], lumps, ripple, grain)


def draw_pose(rng: np.random.Generator, geometry: Geometry) -> Pose:
    """Pitch, roll, yaw, offset and size of the head, and a smooth warp."""
    lengths = np.array(geometry.size) * np.array(geometry.spacing_mm)
    extent = (float(lengths[2]), float(lengths[1]), float(lengths[0]))
    angles = np.clip(rng.normal((4, 0, 0), (6, 3, 4)), -15, 20)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    turn = turn @ np.diag([1.0, -1.0, 1.0])  # the grid runs posterior, the anatomy anterior
    shift = rng.uniform((-8, -10, 0), (8, 10, 0))
    level = rng.uniform(0.35, 0.65) * lengths[2]
    centre = np.array([lengths[0] / 2, lengths[1] / 2, level]) + shift
    shape = geometry.shape[1:]
    warp = tuple(draw_field(rng, extent, shape, 60.0) for _ in range(3))
    fields = tuple(draw_field(rng, extent, shape, scale) for scale in (7.0, 3.0, 1.3))
    return Pose(
        geometry=geometry,
        turn=turn,
        centre_mm=centre,
        scale=float(np.clip(rng.normal(1, 0.035), 0.95, 1.06)),
        warp=(warp[0], warp[1], warp[2]),
        warp_mm=rng.uniform(0.5, 1.3),
        fields=(fields[0], fields[1], fields[2]),
    )


def render(pose: Pose, parts: list[Part], palette: Array) -> tuple[Array, NDArray[np.uint8]]:
    """Noise-free signal (Z, Y, X) and the label map: the majority of every voxel."""
    geometry = pose.geometry
    signal = np.empty(geometry.shape, dtype=np.float32)
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    thickness, spacing = geometry.spacing_mm[2], geometry.spacing_mm[0]
    for index in range(geometry.shape[0]):
        middle = index * thickness
        near = abs(middle - pose.centre_mm[2]) < NEAR_EAR_MM
        count = int(np.ceil(thickness / 0.75)) if near else 1
        steps = (np.arange(count) + 0.5) / count - 0.5
        total = np.zeros(geometry.shape[1:], dtype=np.float32)
        cover = np.zeros((4, *geometry.shape[1:]), dtype=np.float32)
        for step in steps:
            plane = pose.plane(float(middle + step * thickness))
            cut, covered = paint(plane, parts, palette, spacing)
            total += cut
            if covered is not None:
                cover += covered
        signal[index] = total / np.float32(count)
        if cover.any():
            labels[index] = majority(cover / np.float32(count))
    return signal, labels


def majority(cover: Array) -> NDArray[np.uint8]:
    """The label that fills most of a voxel (Y, X), from the labels' ``cover`` (4, Y, X)."""
    tumour = np.where(cover[1] >= cover[2], 1, 2)
    inside = np.where(cover[1] + cover[2] > 0.5, tumour, 0)
    return np.where(cover[3] > 0.5, 3, inside).astype(np.uint8)


def paint(
    plane: Plane, parts: list[Part], palette: Array, spacing_mm: float
) -> tuple[Array, Array | None]:
    """Signal (Y, X) and the labels' coverage (4, Y, X) on one cut, if it holds any.

    An edge is one voxel wide: the partial volume of a straight edge.
    """
    texture = (0.6 * plane.ripple + 0.6 * plane.grain + 0.5 * plane.lumps).astype(np.float32)
    voxel = np.float32(max(spacing_mm, 0.4))
    signal = np.full(plane.x.shape, palette[Tissue.AIR], dtype=np.float32)
    cover: Array | None = None
    cuts: dict[tuple[str, int], Plane] = {}
    for part in parts:
        window = window_of(plane, part)
        if window is None:
            continue
        key = (str(window), part.side)
        cuts[key] = cuts.get(key) or plane.cut(window, part.side)
        distance = part.distance(cuts[key])
        share = np.clip(np.float32(0.5) - distance / voxel, 0, 1)
        if not share.any():
            continue
        if part.label is not None:
            if cover is None:
                cover = np.zeros((4, *signal.shape), dtype=np.float32)
            cover[:, *window] *= 1 - share
            cover[part.label][window] += share
        share *= np.float32(part.opacity)
        grain = np.float32(TEXTURE.get(part.tissue, 0.05)) * texture[window]
        value = palette[part.tissue] * np.clip(1 + grain, 0.1, None)
        signal[window] += share * (value - signal[window])
    return signal, cover
