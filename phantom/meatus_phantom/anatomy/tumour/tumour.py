"""One tumour at one ear: its outline, its halves on both sides of the porus, what it is made of.

Brain, nerves and vessels give way to it along a field of displacements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from torch import Tensor

from meatus.structures import Structure
from meatus_phantom.anatomy.grids import Grid, distance_grid, evaluate, lattice, length, volume_mm3
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import on_side
from meatus_phantom.anatomy.tumour.place import Room
from meatus_phantom.parts import Box, Distance, Marked, Part, mirrored
from meatus_phantom.render import window_of
from meatus_phantom.shapes import Vec, both, smooth_both, vec
from meatus_phantom.tissues import Tissue

STEP_MM = 0.4
MARGIN_MM = 2.5  # beyond the surface, how far the grid reaches
SWELL_MM = 0.5
ROOM_BLEND_MM = 0.5  # rounding where bone stops the tumour
# The extra-meatal label runs on below the intra-meatal one, so that no gap shows between them.
UNDERLAP_MM = 1.0
PART_MARGIN_MM = 1.2  # in a box, for the edge that voxels of 2 mm share

FIELD_STEP_MM = 1.0  # of the displacement
# The displacement fades between these multiples of the tumour's reach.
WHOLE, NOTHING = 1.8, 3.2
LEAST_REACH_MM = 3.0


@dataclass(frozen=True, eq=False)
class Tumour:
    """A tumour as if on the left; ``ear.side`` tells where it is, and what is public is there."""

    ear: Ear  # on its own side
    room: Room  # of the ear as a left one
    grid: Grid  # signed distance to the whole tumour, left
    extra_mm3: float
    intra_mm3: float
    field: Grid  # the displacement, left
    interior: tuple[Part, ...] = ()  # cores, cysts, bleeds: left, rendered over the tumour
    peritumoural: tuple[Part, ...] = ()  # oedema, cleft, traces of surgery: left, before it

    def whole(self, points: Tensor) -> Tensor:
        return mirrored(self.grid.near, self.ear.side)(points)

    def extra(self, points: Tensor) -> Tensor:
        """The part medial of the porus' plane."""
        return mirrored(self._half(-1.0, 0.0), self.ear.side)(points)

    def intra(self, points: Tensor) -> Tensor:
        """The part in the canal."""
        return mirrored(self._half(1.0, 0.0), self.ear.side)(points)

    @property
    def box(self) -> Box:
        """On the ear's side; holds the tumour and the edge that voxels share."""
        left = self._left_box()
        return left if self.ear.side > 0 else left.mirrored()

    def parts(self) -> list[Part]:
        solid = Part(Tissue.TUMOUR, self.grid.near, self._left_box())
        return [
            on_side(part, self.ear.side) for part in (*self.peritumoural, solid, *self.interior)
        ]

    def marked(self) -> list[Marked]:
        extra = mirrored(self._half(-1.0, UNDERLAP_MM), self.ear.side)
        found = []
        if self.extra_mm3 > 0:
            found.append(Marked(Structure.EXTRA_MEATAL, extra, self.box))
        if self.intra_mm3 > 0:
            found.append(Marked(Structure.INTRA_MEATAL, self.intra, self.box))
        return found

    def displace(self, points: Tensor) -> Tensor:
        return displaced(points, self.field, self.ear.side)

    def _half(self, sign: float, more_mm: float) -> Distance:
        def distance(points: Tensor) -> Tensor:
            return both(self.grid.near(points), sign * self.room.medial(points) - more_mm)

        return distance

    def _left_box(self) -> Box:
        return self.grid.box.grown(PART_MARGIN_MM - MARGIN_MM)


def build(
    shape: Distance,
    box: Box,
    ear: Ear,
    widening_mm: float,
    yields: float = 1.0,
    wanted_mm3: float | None = None,
) -> Tumour:
    """The tumour of ``shape`` (left, in ``box``) in the room at ``ear``; soft tissue gives way.

    ``yields`` below 1 shrinks the bulk that pushes, as after part of it was removed. Where bone
    takes volume away, the surface moves out for the whole to have ``wanted_mm3``, as far as
    ``SWELL_MM`` allows.
    """
    left = ear.as_left()
    room = Room(left, widening_mm)

    free = distance_grid(shape, box, STEP_MM, MARGIN_MM)
    open_to_it = evaluate(room, grid_points(free))

    def limited(swollen_mm: float) -> Tensor:
        return smooth_both(free.values[0] - swollen_mm, open_to_it, ROOM_BLEND_MM)

    swollen = _swelling(limited, wanted_mm3) if wanted_mm3 is not None else 0.0
    grid = _largest_piece(replace(free, values=limited(swollen)[None]))
    return finish(ear, room, grid, yields)


def _swelling(limited: Callable[[float], Tensor], wanted_mm3: float) -> float:
    """How far the surface must move for ``limited`` to have this volume, by bisection."""
    low, high = -SWELL_MM, SWELL_MM
    for _ in range(6):
        middle = (low + high) / 2
        if volume_mm3(limited(middle), STEP_MM) < wanted_mm3:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def finish(ear: Ear, room: Room, grid: Grid, yields: float = 1.0) -> Tumour:
    """Volumes and displacement of the tumour whose distance is ``grid``."""
    points = grid_points(grid)
    medial = room.medial(points)
    values = grid.values[0]
    extra = volume_mm3(torch.maximum(values, -medial), grid.step_mm)
    intra = volume_mm3(torch.maximum(values, medial), grid.step_mm)
    centre = _root(room, extra)

    def bulk(at: Tensor) -> Tensor:
        shrunk = both(grid.distance(at), -room.medial(at))
        away = length(at - vec(centre, at))
        return shrunk + (1 - yields) * 0.5 * away

    outside = (values < 0) & (medial > 0)
    far = points[:, outside] - torch.tensor(centre)[:, None]
    reach = float(length(far).max()) if outside.any() else 0.0
    field = displacement_field(bulk, centre, reach)
    return Tumour(ear, room, grid, round(extra, 1), round(intra, 1), field)


def grid_points(grid: Grid) -> Tensor:
    """Positions (3, Z, Y, X) of a grid's voxels."""
    x, y, z = (
        low + grid.step_mm * torch.arange(count)
        for low, count in zip(grid.low, reversed(grid.values.shape[1:]), strict=True)
    )
    planes = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack((planes[2], planes[1], planes[0]))


def with_parts(tumour: Tumour, interior: list[Part], peritumoural: list[Part]) -> Tumour:
    return replace(
        tumour,
        interior=(*tumour.interior, *interior),
        peritumoural=(*tumour.peritumoural, *peritumoural),
    )


def _root(room: Room, extra_mm3: float) -> Vec:
    """Where the cisternal part began: in the cistern's fluid just medial of the porus."""
    radius = (extra_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    depth = min(1.0 + 0.35 * radius, 4.5)
    x, y, z = (at + depth * n for at, n in zip(room.ear.porus, room.ear.porus_normal, strict=True))
    return x, y, z


def _largest_piece(grid: Grid) -> Grid:
    """The grid without crumbs that bone parted from the tumour."""
    values = grid.values[0]
    pieces, count = label((values < 0).numpy())
    if count < 2:
        return grid
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    crumbs = torch.tensor((pieces > 0) & (pieces != int(sizes.argmax())))
    kept = torch.where(crumbs, values.abs() + 0.1, values)
    return replace(grid, values=kept[None])


def displacement_field(bulk: Distance, centre: Vec, reach_mm: float) -> Grid:
    """Steps (3, ...) from positions beside ``bulk`` to where soft tissue lay before it grew.

    Along each ray from ``centre``, where the tumour began, a shell between radii r and the
    tumour's own R came from between 0 and the cube root of r^3 - R^3: its volume stays. ``bulk``
    need not be a ball: r minus the distance to it stands for R. ``reach_mm`` is its farthest
    point's distance from ``centre``; beyond ``NOTHING`` times that nothing moves.
    """
    reach = max(reach_mm, LEAST_REACH_MM)
    step = FIELD_STEP_MM if reach < 15 else 1.5 * FIELD_STEP_MM
    points = lattice(Box(centre, centre).grown(NOTHING * reach + step), step)
    inside = (bulk(points) < 0).numpy()
    if not inside.any():
        return Grid(torch.zeros((3, 2, 2, 2)), centre, step)
    distance = distance_transform_edt(~inside) - distance_transform_edt(inside)
    signed = gaussian_filter((distance - 0.5 * np.sign(distance)) * step, 0.7)
    beyond = torch.tensor(signed, dtype=torch.float32)
    away = points - vec(centre, points)
    far = length(away)
    radius = (far - beyond).clamp_min(0)
    before = (far**3 - radius**3).clamp_min(0) ** (1 / 3)
    share = ((NOTHING - far / reach) / (NOTHING - WHOLE)).clamp(0, 1)
    fade = share * share * (3 - 2 * share)
    return Grid(away * ((before / far.clamp_min(1e-3) - 1) * fade), _first(points), step)


def displaced(points: Tensor, field: Grid, side: int) -> Tensor:
    """``points`` (3, ...) moved by ``field``, which is drawn for the left side."""
    box = field.box if side > 0 else field.box.mirrored()
    if points.dim() != 4:
        return points + _step(points, field, side)
    window = window_of(points, box)
    if window is None:
        return points
    here = (slice(None), *window)
    moved = points.clone()
    moved[here] += _step(points[here], field, side)
    return moved


def _step(points: Tensor, field: Grid, side: int) -> Tensor:
    step = field.at(points if side > 0 else torch.stack((-points[0], points[1], points[2])))
    return step if side > 0 else torch.stack((-step[0], step[1], step[2]))


def _first(points: Tensor) -> Vec:
    x, y, z = points[:, 0, 0, 0].tolist()
    return x, y, z
