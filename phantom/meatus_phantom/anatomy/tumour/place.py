"""Where a tumour may lie: in the cistern, and in a canal that gives way by a few millimetres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from meatus_phantom.anatomy.ear.canal import canal_distance
from meatus_phantom.anatomy.ear.labyrinth import cochlea_hull
from meatus_phantom.anatomy.grids import Grid
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import FAR_MM
from meatus_phantom.shapes import Vec, half_space, smooth_both, smooth_union, vec

Array = NDArray[np.float64]

FUNDUS_GIVE = 0.3  # the canal gives way at the fundus by this share of what it does at the porus
COCHLEA_MARGIN_MM = 0.4
LIP_BLEND_MM = 0.8
DURA_MM = 0.4  # between a tumour and the bone's posterior face
SHELF, SHELF_MM = 0.45, -4.0  # below this height the face runs backwards (see petrous.py)
# Freedom of a real tumour about its cochlea: SDs of the shift and of the turn.
SHIFT_MM, TURN_RAD = 1.5, 0.14
FIT_WIDENING_MM = 1.8
BONE_WEIGHT, CANAL_WEIGHT = 40.0, 4.0  # per mm2, against half a squared SD of the freedom
CANAL = (0.0, 0.2, 0.4)  # of the canal's length: there the tumour should be


@dataclass(frozen=True)
class Room:
    """What is open to a tumour at a left ear, as distances of points in the canonical frame."""

    ear: Ear
    widening_mm: float  # how far the canal's wall may give way at the porus

    def medial(self, points: Tensor) -> Tensor:
        """Depth in the cistern: positive medial of the porus' plane, the petrous bone's face."""
        return half_space(points, self.ear.porus, self.ear.porus_normal)

    def along(self, points: Tensor) -> Tensor:
        """Way along the canal's axis: 0 at the porus, 1 at the fundus, clipped."""
        away = points - vec(self.ear.porus, points)
        return ((away * vec(self.ear.axis, points)).sum(0) / self.ear.length_mm).clamp(0, 1)

    def canal(self, points: Tensor) -> Tensor:
        """The widened canal."""
        give = self.widening_mm * (1 - (1 - FUNDUS_GIVE) * self.along(points))
        return canal_distance(self.ear)(points) - give

    def __call__(self, points: Tensor) -> Tensor:
        """Negative where a tumour may lie."""
        below = SHELF * (SHELF_MM - points[2]).clamp_min(0)
        cistern = below + DURA_MM - self.medial(points)
        room = smooth_union(self.canal(points), cistern, LIP_BLEND_MM)
        hull = cochlea_hull(self.ear, COCHLEA_MARGIN_MM)(points)
        # Far from the cochlea its distance is cut off: there it must not tell the room's depth.
        return torch.where(hull > FAR_MM / 2, room, smooth_both(room, -hull, 0.3))


@dataclass(frozen=True)
class Pose:
    """From a real tumour, about its cochlea, to a left ear: turned and scaled at the porus."""

    ear: Ear
    scale: float
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def to_ear(self, about_cochlea: Tensor) -> Tensor:
        """Canonical positions (3, N) of positions relative to the cochlea's centre."""
        moved = torch.tensor(self.shift_mm, dtype=about_cochlea.dtype)
        turned = torch.tensor(self.turn_rad, dtype=about_cochlea.dtype)
        return _to_ear(self, about_cochlea, moved, turned)

    def from_ear(self, points: Tensor) -> Tensor:
        """The inverse of ``to_ear``, for points (3, ...)."""
        moved = torch.tensor(self.shift_mm, dtype=points.dtype, device=points.device)
        turned = torch.tensor(self.turn_rad, dtype=points.dtype, device=points.device)
        return _from_ear(self, points, moved, turned)


def fit_pose(grid: Grid, about_cochlea: Array, ear: Ear, scale: float) -> Pose:
    """The pose, near the cochlea's own, that keeps a real tumour out of bone and on the canal.

    ``grid`` is its signed distance and ``about_cochlea`` holds points (N, 3) inside it.
    """
    room = Room(ear, FIT_WIDENING_MM)
    inside = torch.tensor(about_cochlea.T)
    values = replace(grid, values=grid.values.double())
    start = Pose(ear, scale)
    canal = torch.stack([vec(ear.porus, inside) + at * vec(_along(ear), inside) for at in CANAL])

    def cost(free: Array) -> tuple[float, Array]:
        guess = torch.tensor(free, requires_grad=True)
        shift, turn = guess[:3] * SHIFT_MM, guess[3:] * TURN_RAD
        in_bone = room(_to_ear(start, inside, shift, turn)).clamp_min(0)
        off_canal = (values.at(_from_ear(start, canal[..., 0].T, shift, turn))[0]).clamp_min(0)
        misfit = BONE_WEIGHT * (in_bone**2).mean() + CANAL_WEIGHT * (off_canal**2).mean()
        total = misfit + 0.5 * (guess**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        assert guess.grad is not None
        return float(total.detach()), guess.grad.numpy().copy()

    found = minimize(cost, np.zeros(6), jac=True, method="L-BFGS-B", options={"maxiter": 40}).x
    shift, turn = found[:3] * SHIFT_MM, found[3:] * TURN_RAD
    return Pose(
        ear,
        scale,
        (float(shift[0]), float(shift[1]), float(shift[2])),
        (float(turn[0]), float(turn[1]), float(turn[2])),
    )


def _to_ear(pose: Pose, about_cochlea: Tensor, shift: Tensor, turn: Tensor) -> Tensor:
    porus, cochlea = vec(pose.ear.porus, about_cochlea), vec(pose.ear.cochlea_centre, about_cochlea)
    away = (about_cochlea + cochlea - porus) * pose.scale
    return _rotation(turn) @ away + porus + shift[:, None]


def _from_ear(pose: Pose, points: Tensor, shift: Tensor, turn: Tensor) -> Tensor:
    porus, cochlea = vec(pose.ear.porus, points), vec(pose.ear.cochlea_centre, points)
    moved = shift.reshape(3, *(1,) * (points.dim() - 1))
    away = (points - porus - moved) / pose.scale
    turned: Tensor = torch.einsum("ji,j...->i...", _rotation(turn), away)
    return turned + porus - cochlea


def _along(ear: Ear) -> Vec:
    """From the porus to the fundus."""
    x, y, z = (b - a for a, b in zip(ear.porus, ear.fundus, strict=True))
    return x, y, z


def _rotation(turn: Tensor) -> Tensor:
    """Rotation about the axis ``turn`` by its length in radians."""
    x, y, z = turn
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none]).reshape(3, 3)
    turned: Tensor = torch.linalg.matrix_exp(cross)
    return turned
