"""From a scan's voxels to the canonical frame: pose, size and a smooth warp of each subject."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from meatus.geometry import Geometry
from meatus_phantom.random_streams import bounded_normal, stream

# The warp's knots: cubic splines over a cube about the origin of the canonical frame.
KNOT_MM = 40.0
KNOTS = 9
WARP_STRIDE = 8  # voxels between the points at which the warp is computed


@dataclass(frozen=True)
class Space:
    """How a subject lies in the scanner and differs from the mean head.

    A position x of the scanner (x left, y anterior, z up, mm) is ``turn.T @ (x - shift) / scale``
    in the mean head, plus the warp there.
    """

    turn: NDArray[np.float64]  # (3, 3) rotation
    shift_mm: tuple[float, float, float]
    scale: tuple[float, float, float]
    knots: NDArray[np.float32]  # (3, KNOTS, KNOTS, KNOTS) of z, y, x; mm

    def upright(self) -> Space:
        """The same subject, neither turned nor shifted."""
        return replace(self, turn=np.eye(3), shift_mm=(0.0, 0.0, 0.0))


def draw_space(seed: int) -> Space:
    """Scale N(1, 0.05), warp of 3-6 mm, pitch, roll and yaw as in docs/phantom.md."""
    rng = stream(seed, "space")
    whole = bounded_normal(rng, 1.0, 0.04, 0.9, 1.1)
    scale = tuple(whole * bounded_normal(rng, 1.0, 0.025, 0.93, 1.07) for _ in range(3))
    pitch, roll, yaw = np.radians([rng.normal(0, 6), rng.normal(0, 3), rng.normal(0, 4)])
    shift = (rng.normal(0, 4), rng.normal(0, 5), rng.normal(0, 2))
    size_mm = rng.uniform(1.5, 3.0)  # SD of the knots; extremes reach twice that
    knots = rng.normal(0, size_mm, (3, KNOTS, KNOTS, KNOTS)).astype(np.float32)
    return Space(
        turn=about_x(pitch) @ _about_y(roll) @ _about_z(yaw),
        shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
        scale=(scale[0], scale[1], scale[2]),
        knots=knots,
    )


def canonical(geometry: Geometry, space: Space, device: torch.device) -> Tensor:
    """Positions (3, Z, Y, X) in the mean head of ``geometry``'s voxel centres, float32, mm."""
    index_to_head, start = _affine(geometry, space)
    z, y, x = (torch.arange(n, dtype=torch.float32, device=device) for n in geometry.shape)
    points = torch.empty((3, *geometry.shape), dtype=torch.float32, device=device)
    bend = _warp(geometry, space, device)
    for axis in range(3):
        a, b, c = (float(v) for v in index_to_head[axis])
        plane = (a * x)[None, None, :] + (b * y)[None, :, None] + (c * z)[:, None, None]
        points[axis] = plane + float(start[axis]) + bend[axis]
    return points


def place(points_mm: NDArray[np.float64], space: Space) -> NDArray[np.float64]:
    """Scanner positions (N, 3) (x left, y anterior, z up) of mean-head positions (N, 3).

    The inverse of ``canonical`` by fixed-point steps, good to 0.01 mm for warps of this size.
    """
    target = np.asarray(points_mm, dtype=np.float64)
    flat = target.copy()
    for _ in range(12):
        bend = warp_at(torch.tensor(flat.T, dtype=torch.float32), space).numpy().T
        flat = target - bend
    return np.asarray((flat * np.array(space.scale)) @ space.turn.T + np.array(space.shift_mm))


def warp_at(points: Tensor, space: Space) -> Tensor:
    """Displacement (3, ...) of the mean head at unwarped positions ``points`` (3, ...), mm."""
    where = points.reshape(3, -1) / KNOT_MM + (KNOTS - 1) / 2
    weights = [_spline(where[axis], points.device) for axis in range(3)]  # (N, KNOTS) each
    knots = torch.tensor(space.knots, device=points.device)
    return torch.einsum("czyx,nz,ny,nx->cn", knots, weights[2], weights[1], weights[0]).reshape(
        points.shape
    )


def _spline(at: Tensor, device: torch.device) -> Tensor:
    """Cubic B-spline weights (N, KNOTS) of positions in knot units; zero far outside."""
    distance = (at[:, None] - torch.arange(KNOTS, device=device)).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp_min(0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def _warp(geometry: Geometry, space: Space, device: torch.device) -> Tensor:
    """The warp (3, Z, Y, X) on a grid, computed on few voxels and joined linearly."""
    index_to_head, start = _affine(geometry, space)
    counts = [max(2, -(-n // WARP_STRIDE) + 1) for n in geometry.shape]
    axes = [
        torch.linspace(0, max(n - 1, 1), count, device=device)
        for n, count in zip(geometry.shape, counts, strict=True)
    ]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    at = torch.stack(
        [
            x * float(row[0]) + y * float(row[1]) + z * float(row[2]) + float(offset)
            for row, offset in zip(index_to_head, start, strict=True)
        ]
    )
    bend = warp_at(at, space)[None]
    return interpolate(bend, size=geometry.shape, mode="trilinear", align_corners=True)[0]


def _affine(geometry: Geometry, space: Space) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and start that take voxel indices (x, y, z) to the unwarped mean head."""
    to_ras = np.diag([1.0, -1.0, 1.0])  # LPS to x left, y anterior, z up
    to_head = np.diag(1 / np.array(space.scale)) @ space.turn.T
    steps = to_head @ to_ras @ (geometry.axes * np.array(geometry.spacing_mm))
    start = to_head @ (to_ras @ np.array(geometry.origin_mm) - np.array(space.shift_mm))
    return steps, start


def about_x(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
