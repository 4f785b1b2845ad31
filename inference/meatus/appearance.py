"""What a scan shows, whatever is found in it: slices without anything, and which contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meatus.components import Mask
from meatus.geometry import Array, Geometry, axial
from meatus.volumes import Appearance, Labels, Scan

# Of what planes of the scan usually span, the median: a plane that spans less shows nothing. Even
# the noise of air spans 2 to 4 % of the bright end.
NOTHING = 0.01

Shown = tuple[Mask, Mask, Mask]


def shown_planes(voxels: Array) -> Shown:
    """(Z,), (Y,), (X,): whether each plane of ``voxels`` across that axis shows anything.

    Padding, lost slices and painted-out halves hold one value, or next to it.
    """
    over_x = voxels.max(axis=2), voxels.min(axis=2)  # (Z, Y)
    spread = (
        over_x[0].max(axis=1) - over_x[1].min(axis=1),
        over_x[0].max(axis=0) - over_x[1].min(axis=0),
        voxels.max(axis=(0, 1)) - voxels.min(axis=(0, 1)),
    )
    z, y, x = (one > NOTHING * _usual(one) for one in spread)
    return z, y, x


def _usual(spread: Array) -> float:
    return float(np.median(spread[spread > 0])) if spread.any() else 0.0


def appearance_of(scan: Scan, shown: Shown) -> Appearance:
    """Which slices show nothing, and between which planes the scan shows anything at all."""
    stack = stack_axis(scan.geometry)
    empty = np.flatnonzero(~shown[stack]) + 1
    box = tuple(_extent(one) for one in shown)
    return Appearance(
        slices=int(shown[stack].size),
        empty_slices=tuple(int(number) for number in empty),
        shown=(box[0], box[1], box[2]),
    )


def stack_axis(geometry: Geometry) -> int:
    """The array axis (of Z, Y, X) along which slices were taken: that of the widest step.

    Where all steps are alike, that which runs most nearly from feet to head.
    """
    steps = np.array(geometry.spacing_mm[::-1])
    if np.ptp(steps) > 0.01 * steps.max():
        return int(np.argmax(steps))
    upwards = axial(geometry).axes[:, 2]
    return 2 - int(np.argmax(np.abs(geometry.axes.T @ upwards)))


def without_empty_planes(labels: Labels, shown: Shown) -> Labels:
    """``labels`` in the planes that are ``shown`` alone: where nothing is to be seen is nothing."""
    if all(one.all() for one in shown):
        return labels
    z, y, x = (one.astype(np.uint8) for one in shown)
    return replace(labels, voxels=labels.voxels * z[:, None, None] * y[:, None] * x)


def _extent(shown: Mask) -> tuple[int, int]:
    """The first plane that shows something and one past the last; all where none does."""
    at = np.flatnonzero(shown)
    return (int(at[0]), int(at[-1]) + 1) if at.size else (0, shown.size)
