"""Label maps drawn over their scans."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from inference.geometry import Geometry, axial, reorient
from inference.images import read_scan
from inference.structures import CLASS_NAMES, Structure
from inference.volumes import Scan

mpl.use("Agg")  # files only, no screen
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

# The challenge's colours.
COLOURS = {
    Structure.EXTRA_MEATAL: "#ff4040",
    Structure.INTRA_MEATAL: "#40ff40",
    Structure.COCHLEA: "#40a0ff",
}
WINDOW_PERCENTILES = (1, 99.7)
FIELD_MM = 100.0  # shown about the structures
SCALE_BAR_MM = 20.0


def draw_case(scan_file: Path, label_files: dict[str, Path], out: Path) -> None:
    """One picture: a row per label map of ``label_files`` (title to file), two slices each.

    The slices are those with most tumour and most cochlea in the first map, axial, the
    patient's right on the left side of the picture.
    """
    scan = read_scan(scan_file)
    maps = {title: read_scan(file) for title, file in label_files.items()}
    first = _axial(next(iter(maps.values())))
    slices = _telling_slices(first)
    figure, rows = plt.subplots(
        len(maps), len(slices), figsize=(6 * len(slices), 5 * len(maps)), squeeze=False
    )
    for row, (title, labels) in zip(rows, maps.items(), strict=True):
        for axes, (what, index) in zip(row, slices.items(), strict=True):
            _draw_slice(axes, scan, _axial(labels), index)
            axes.set_title(f"{title}: {what}, slice {index + 1}", fontsize=10)
    names = [CLASS_NAMES[structure].replace("_", "-") for structure in COLOURS]
    lines = [Line2D([], [], color=colour) for colour in COLOURS.values()]
    figure.legend(lines, names, loc="lower center", ncols=3, frameon=False)
    figure.suptitle(f"{out.stem} (not for clinical use)", fontsize=11)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)
    plt.close(figure)


def _axial(scan: Scan) -> NDArray[np.float32]:
    return reorient(scan.voxels, scan.geometry, axial(scan.geometry))


def _telling_slices(labels: NDArray[np.float32]) -> dict[str, int]:
    tumour = ((labels == Structure.EXTRA_MEATAL) | (labels == Structure.INTRA_MEATAL)).sum((1, 2))
    cochlea = (labels == Structure.COCHLEA).sum((1, 2))
    middle = len(labels) // 2
    return {
        "tumour": int(tumour.argmax()) if tumour.any() else middle,
        "cochlea": int(cochlea.argmax()) if cochlea.any() else middle,
    }


def _draw_slice(axes: Axes, scan: Scan, labels: NDArray[np.float32], index: int) -> None:
    grid = axial(scan.geometry)
    voxels = _axial(scan)
    low, high = np.percentile(voxels, WINDOW_PERCENTILES)
    aspect = grid.spacing_mm[1] / grid.spacing_mm[0]
    axes.imshow(voxels[index], cmap="gray", vmin=low, vmax=high, aspect=aspect)
    for structure, colour in COLOURS.items():
        mask = labels[index] == structure
        if mask.any():
            axes.contour(mask, [0.5], colors=colour, linewidths=1)
    _frame(axes, grid, labels)


def _frame(axes: Axes, grid: Geometry, labels: NDArray[np.float32]) -> None:
    """Show the field about the structures, sides named, with a scale bar."""
    marked = np.argwhere(labels.any(axis=0))
    y, x = marked.mean(axis=0) if len(marked) else (grid.size[1] / 2, grid.size[0] / 2)
    half_x, half_y = (FIELD_MM / 2 / spacing for spacing in grid.spacing_mm[:2])
    left, bottom = x - half_x, y + half_y * 0.8
    axes.set_xlim(left, x + half_x)
    axes.set_ylim(bottom, y - half_y * 0.8)
    bar = np.array([0.05 * FIELD_MM, 0.05 * FIELD_MM + SCALE_BAR_MM]) / grid.spacing_mm[0] + left
    axes.plot(bar, [bottom - 0.06 * 2 * half_y] * 2, color="white", linewidth=3)
    axes.text(
        float(bar.mean()), bottom - 0.08 * 2 * half_y, f"{SCALE_BAR_MM:.0f} mm",
        color="white", ha="center", fontsize=8,
    )  # fmt: skip
    for side, place in (("R", 0.02), ("L", 0.95)):
        axes.text(place, 0.93, side, color="white", transform=axes.transAxes, fontsize=10)
    axes.axis("off")
