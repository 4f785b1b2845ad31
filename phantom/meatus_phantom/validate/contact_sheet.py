"""The contact sheet: each site in both contrasts, laid out as published example pictures are.

Above, the whole slice at the tumour's level with a dashed box about the canals; below, what the
box holds, at the tumour's and at the cochlea's level, without and with contours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from meatus.geometry import Array
from meatus.io.images import read_scan
from meatus.structures import TUMOUR, Structure
from meatus_phantom.cohort.files import Row, read_table
from meatus_phantom.errors import PhantomError

COLOURS = {
    Structure.EXTRA_MEATAL: "red",
    Structure.INTRA_MEATAL: "lime",
    Structure.COCHLEA: "dodgerblue",
}
BOX_MM = (108.0, 60.0)  # width and height about the canals
BOX_BACK_MM = 11.0  # how far behind the cochleae its middle lies
WINDOW = (1, 99)  # percentiles of a slice that are black and white
UPRIGHT = 0.9  # cosine of the largest tilt that still counts as axial
SEEN_MM3 = 300.0
COLUMN_INCH, WHOLE, ZOOM = 3.0, 1.1, 0.56  # heights against widths


@dataclass(frozen=True)
class Picture:
    """What is shown of one scan; pixels are (Y, X), places and sizes in mm from the corner."""

    title: str
    pixel_mm: tuple[float, float]
    tumour: tuple[Array, NDArray[np.uint8]]  # scan and labels at the tumour's level
    cochlea: tuple[Array, NDArray[np.uint8]]
    box_mm: tuple[float, float]  # upper left corner


def write_contact_sheet(out: Path, file: Path) -> None:
    """Draw the sheet of the cohort in ``out`` as ``file`` (PNG)."""
    rows = read_table(out)
    pairs = [
        (site, kind) for site in sorted({r["site"] for r in rows}) for kind in ("ceT1", "hrT2")
    ]
    chosen = [row for pair in pairs if (row := choose(rows, *pair))]
    if not chosen:
        raise PhantomError(f"{out}: no scan to show; expected a finished cohort.")
    figure = contact_sheet([picture(out, row) for row in chosen])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110, facecolor="black")
    except OSError as error:
        raise PhantomError(f"{file}: cannot be written ({error.strerror}).") from error


def choose(rows: Sequence[Row], site: str, modality: str) -> Row | None:
    """The first scan that shows most: physical, axial, an ordinary tumour, both parts of it."""
    here = [row for row in rows if (row["site"], row["modality"]) == (site, modality)]
    return max(here, key=_worth, default=None)


def _worth(row: Row) -> tuple[bool, ...]:
    """Sorts rows; ``max`` keeps the first of equals."""
    extra = max(_number(row, f"{side}_extra_mm3") for side in ("left", "right"))
    intra = max(_number(row, f"{side}_intra_mm3") for side in ("left", "right"))
    axes = row.get("geometry_direction", "").split() or ["1"]
    return (
        row.get("appearance") != "random",
        abs(float(axes[-1])) > UPRIGHT,
        extra > SEEN_MM3 and intra > 0,
        row.get("lesion", "") == "ordinary",
    )


def _number(row: Row, name: str) -> float:
    return float(row.get(name) or 0)


def picture(out: Path, row: Row) -> Picture:
    """The two levels of one scan that show most of the tumour and of the cochleae."""
    scan, truth = read_scan(out / row["scan"]), read_scan(out / row["label"])
    labels = truth.voxels.astype(np.uint8)
    cochlea = labels == Structure.COCHLEA
    levels = [_fullest(np.isin(labels, TUMOUR)), _fullest(cochlea)]
    at, tumour = (level if level is not None else len(labels) // 2 for level in reversed(levels))
    rows, columns = np.nonzero(cochlea.any(axis=0))
    width, height, _ = scan.geometry.spacing_mm
    # Both cochleae lie symmetrically about the box; without them it lies in the middle.
    middle = [
        float(found.min() + found.max()) / 2 if len(found) else size / 2
        for found, size in ((columns, labels.shape[2]), (rows, labels.shape[1]))
    ]
    corner = (
        middle[0] * width - BOX_MM[0] / 2,
        middle[1] * height - BOX_MM[1] / 2 + BOX_BACK_MM,
    )
    spacing = " x ".join(f"{step:.2g}" for step in scan.geometry.spacing_mm)
    return Picture(
        title=f"{row['site']} {row['modality']}  {spacing} mm",
        pixel_mm=(width, height),
        tumour=(scan.voxels[tumour], labels[tumour]),
        cochlea=(scan.voxels[at], labels[at]),
        box_mm=corner,
    )


def _fullest(mask: NDArray[np.bool_]) -> int | None:
    """The slice that holds most of ``mask`` (Z, Y, X)."""
    counts = mask.sum(axis=(1, 2))
    return int(counts.argmax()) if counts.any() else None


def contact_sheet(pictures: Sequence[Picture]) -> Figure:
    """A column for each picture."""
    height = COLUMN_INCH * (WHOLE + 4 * ZOOM)
    figure = Figure(figsize=(COLUMN_INCH * len(pictures), height))
    grid = GridSpec(
        5,
        len(pictures),
        figure,
        height_ratios=[WHOLE, *[ZOOM] * 4],
        left=0,
        right=1,
        bottom=0,
        top=0.97,
        wspace=0.02,
        hspace=0.02,
    )
    for column, shown in enumerate(pictures):
        whole = figure.add_subplot(grid[0, column])
        _show(whole, shown, shown.tumour, contours=False)
        whole.add_patch(Rectangle(shown.box_mm, *BOX_MM, fill=False, color="w", ls="--", lw=1.5))
        whole.set_title(shown.title, color="white", fontsize=9)
        for place in range(4):
            level = shown.tumour if place < 2 else shown.cochlea
            axes = figure.add_subplot(grid[place + 1, column])
            _show(axes, shown, level, contours=place % 2 == 1)
            x, y = shown.box_mm
            axes.set_xlim(x, x + BOX_MM[0])
            axes.set_ylim(y + BOX_MM[1], y)
    return figure


def _show(
    axes: Axes, shown: Picture, level: tuple[Array, NDArray[np.uint8]], contours: bool
) -> None:
    pixels, labels = level
    rows, columns = pixels.shape
    width, height = shown.pixel_mm
    black, white = np.percentile(pixels, WINDOW)
    extent = (-width / 2, (columns - 0.5) * width, (rows - 0.5) * height, -height / 2)
    axes.imshow(
        pixels,
        cmap="gray",
        vmin=black,
        vmax=max(white, black + 1),
        extent=extent,
        interpolation="bilinear",
    )
    axes.set_axis_off()
    axes.set_facecolor("black")
    if not contours:
        return
    x, y = np.arange(columns) * width, np.arange(rows) * height
    for structure, colour in COLOURS.items():
        mask = labels == structure
        if mask.any():
            axes.contour(x, y, mask, levels=[0.5], colors=[colour], linewidths=0.8)
