"""Boxes of the prepared grid that cover what must be seen, and as little else as may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from meatus.spec import PhysicalCrop, Spec, Window
from meatus.windows import GRID_MULTIPLE, plan

# So many boxes are not tried in all ways.
MOST_BOXES = 12


@dataclass(frozen=True)
class Region:
    """A box of the prepared grid."""

    slices: slice
    rows: slice
    columns: slice

    @property
    def box(self) -> tuple[slice, slice, slice]:
        return self.slices, self.rows, self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = (side.stop - side.start for side in self.box)
        return z, y, x


def covering(boxes: Iterable[Region], field: Region, spec: Spec) -> tuple[Region, ...]:
    """Regions within ``field`` that cover ``boxes``, which may reach beyond it.

    Boxes that meet become one, as what lies in both would be seen cut, and so do others while that
    leaves less to see.
    """
    least = half_of_field(spec)

    def regions(boxes: Sequence[Region]) -> tuple[Region, ...]:
        return _alike(boxes, field, least, spec.window.depth)

    def seen(boxes: Sequence[Region]) -> int:
        return voxels_seen(regions(boxes), spec.window)

    apart = _apart(boxes)
    while 1 < len(apart) <= MOST_BOXES:
        ways = [_apart([_hull(pair), *apart]) for pair in combinations(apart, 2)]
        best = min(ways, key=seen)
        if seen(best) >= seen(apart):
            break
        apart = best
    return regions(apart)


def half_of_field(spec: Spec) -> tuple[int, int]:
    """Rows and columns of half of the field's sides, in multiples that the network can halve."""
    assert isinstance(spec.crop, PhysicalCrop)
    columns, rows = (-(-size // (2 * GRID_MULTIPLE)) * GRID_MULTIPLE for size in spec.crop.size)
    return rows, columns


def _apart(boxes: Iterable[Region]) -> list[Region]:
    """``boxes``, of which those that meet are one."""
    apart: list[Region] = []
    for box in boxes:
        joined = box
        while meeting := [other for other in apart if _meet(other, joined)]:
            joined = _hull((joined, *meeting))
            apart = [other for other in apart if other not in meeting]
        apart.append(joined)
    return apart


def _hull(regions: Iterable[Region]) -> Region:
    """The smallest box that holds all of ``regions``."""
    z, y, x = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*(region.box for region in regions), strict=True)
    )
    return Region(z, y, x)


def _meet(one: Region, other: Region) -> bool:
    return all(
        a.start < b.stop and b.start < a.stop for a, b in zip(one.box, other.box, strict=True)
    )


def voxels_seen(regions: Iterable[Region], window: Window) -> int:
    """How many voxels the windows of ``regions`` have."""
    return sum(
        len(plan(z, window)) * window.depth * y * x for z, y, x in (one.shape for one in regions)
    )


def _alike(
    boxes: Sequence[Region], field: Region, half: tuple[int, int], depth: int
) -> tuple[Region, ...]:
    """Regions within ``field`` about ``boxes``, at least ``depth`` slices each.

    In the slice they have ``half`` (rows, columns) of the field or all of it: a runtime prepares
    for each shape anew, as long as several windows take.
    """
    sides = []
    for side, least, whole in (
        ([box.rows for box in boxes], half[0], field.rows),
        ([box.columns for box in boxes], half[1], field.columns),
    ):
        wide = any(one.stop - one.start > least for one in side)
        sides.append([whole if wide else _within(one, least, whole) for one in side])
    return tuple(
        Region(
            _within(box.slices, max(box.shape[0], depth), field.slices),
            rows,
            columns,
        )
        for box, rows, columns in zip(boxes, *sides, strict=True)
    )


def _within(side: slice, extent: int, whole: slice) -> slice:
    """``extent`` indices of ``whole``, or all of it, about the middle of ``side``."""
    extent = min(extent, whole.stop - whole.start)
    start = round((side.start + side.stop - extent) / 2)
    start = min(max(start, whole.start), whole.stop - extent)
    return slice(start, start + extent)
