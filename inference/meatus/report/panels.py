"""One view of a scan, drawn into a square."""

from __future__ import annotations

import numpy as np

from meatus.geometry import Geometry
from meatus.report.plotting import AbstractPathEffect, Axes, withStroke
from meatus.report.views import Slices, View
from meatus.structures import RGB

COLOURS = {
    structure: f"#{red:02x}{green:02x}{blue:02x}" for structure, (red, green, blue) in RGB.items()
}
POWER = 0.7  # lifts tissue, which is dark beside hrT2's bright fluid
WHITE = "#f0f0f0"
LETTER_PT, BAR_PT = 13, 9
EDGE_PT = 6  # between a letter and the edge of its panel, whatever the panel's size
SCALE_BARS_MM = (50, 20, 10, 5)
BAR_SHARE = 0.3  # of a field, at most

# R, L, A and P about a panel: the axes' x and y of the edge, and alignment across and along.
SIDES = (
    ("R", 0.0, 0.5, "left", "center"),
    ("L", 1.0, 0.5, "right", "center"),
    ("A", 0.5, 1.0, "center", "top"),
    ("P", 0.5, 0.0, "center", "bottom"),
)


def show(
    axes: Axes, slices: Slices, view: View, limits: tuple[float, float], *, contours: bool
) -> None:
    """Fill ``axes`` with ``view``, coordinates in millimetres.

    As radiologists expect it: from below, the patient's right on the left. ``limits`` are the
    intensities of black and white.
    """
    dx, dy, _ = slices.grid.spacing_mm
    (x, y), half = view.centre_mm, view.size_mm / 2
    rows, columns = _covered(view, slices.grid)
    low, high = limits
    unit = np.clip((slices.voxels[view.index, rows, columns] - low) / (high - low), 0, 1)
    axes.imshow(
        unit**POWER,
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(
            (columns.start - 0.5) * dx,
            (columns.stop - 0.5) * dx,
            (rows.stop - 0.5) * dy,
            (rows.start - 0.5) * dy,
        ),
        interpolation="bilinear",
    )
    if contours:
        _draw_contours(axes, slices, view.index, rows, columns)
    axes.set(xlim=(x - half, x + half), ylim=(y + half, y - half), aspect="equal")
    blank(axes)
    _name_sides(axes)
    _draw_scale(axes, view.size_mm)


def blank(axes: Axes) -> None:
    """Black, without ticks and frame."""
    axes.set(xticks=[], yticks=[], facecolor="black")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _covered(view: View, grid: Geometry) -> tuple[slice, slice]:
    """The rows and columns of a view, and some more: contours must not close at its edge.

    At least two of each, which a contour needs.
    """
    spans = []
    for centre, step, count in zip(view.centre_mm, grid.spacing_mm, grid.size, strict=False):
        low, high = ((centre + sign * view.size_mm / 2) / step for sign in (-1, 1))
        start = min(max(int(low) - 2, 0), count - 2)
        spans.append(slice(start, max(min(int(high) + 3, count), start + 2)))
    columns, rows = spans
    return rows, columns


def _draw_contours(axes: Axes, slices: Slices, index: int, rows: slice, columns: slice) -> None:
    dx, dy, _ = slices.grid.spacing_mm
    labels = slices.labels[index, rows, columns]
    # A frame of background closes contours at the border of the scan.
    x_mm = np.arange(columns.start - 1, columns.stop + 1) * dx
    y_mm = np.arange(rows.start - 1, rows.stop + 1) * dy
    for structure, colour in COLOURS.items():
        mask = np.pad(labels == structure, 1)
        if mask.any():
            axes.contour(x_mm, y_mm, mask, [0.5], colors=colour, linewidths=1.1)


def _outline() -> list[AbstractPathEffect]:
    """Readable on bright tissue."""
    return [withStroke(linewidth=2, foreground="black")]


def _name_sides(axes: Axes) -> None:
    """Large and bold, on a dark ground: the foot of an L must not be lost in bright bone marrow."""
    for letter, x, y, across, along in SIDES:
        inwards = (EDGE_PT * (1 - 2 * x), EDGE_PT * (1 - 2 * y))  # none from the middle
        axes.annotate(
            letter, (x, y), inwards, xycoords="axes fraction", textcoords="offset points",
            ha=across, va=along, color=WHITE, size=LETTER_PT, weight="bold",
            bbox={"boxstyle": "square,pad=0.15", "facecolor": "black", "alpha": 0.55, "lw": 0},
        )  # fmt: skip


def _draw_scale(axes: Axes, field_mm: float) -> None:
    usable = (bar for bar in SCALE_BARS_MM if bar <= BAR_SHARE * field_mm)
    bar_mm = next(usable, SCALE_BARS_MM[-1])
    start, end = 0.04, 0.04 + bar_mm / field_mm
    axes.plot(
        [start, end], [0.04, 0.04], color=WHITE, linewidth=2, solid_capstyle="butt",
        transform=axes.transAxes, path_effects=_outline(),
    )  # fmt: skip
    axes.text(
        start, 0.055, f"{bar_mm} mm", va="bottom", color=WHITE, size=BAR_PT,
        transform=axes.transAxes, path_effects=_outline(),
    )  # fmt: skip
