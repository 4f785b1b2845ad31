"""Label maps drawn over their scans."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.images import read_scan
from inference.pictures.panels import COLOURS, show
from inference.pictures.plotting import Figure, Line2D
from inference.pictures.views import Slices, View, as_slices, busiest, extent_mm, middle_mm, window
from inference.report import write_whole
from inference.structures import CLASS_NAMES, TUMOUR, Structure
from inference.volumes import Labels

FIELD_MM = 100.0  # shown about the structures
SIDE_INCHES, DPI = 5.2, 80


def draw_case(scan_file: Path, label_files: dict[str, Path], out: Path) -> None:
    """One picture: a row per label map of ``label_files`` (title to file), two slices each.

    The slices are those with most tumour and most cochlea in the first map, axial, the
    patient's right on the left side of the picture.
    """
    scan = read_scan(scan_file)
    maps = {title: as_slices(scan, _read_labels(file)) for title, file in label_files.items()}
    views = _telling_views(next(iter(maps.values())))
    size = (SIDE_INCHES * len(views), SIDE_INCHES * len(maps) + 0.5)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    rows = figure.subplots(len(maps), len(views), squeeze=False)
    for row, (title, slices) in zip(rows, maps.items(), strict=True):
        limits = window(slices.voxels)
        for axes, view in zip(row, views, strict=True):
            show(axes, slices, view, limits, contours=True)
            axes.set_title(f"{title}: {view.title}, slice {view.index + 1}", fontsize=10)
    names = [CLASS_NAMES[structure].replace("_", "-") for structure in COLOURS]
    lines = [Line2D([], [], color=colour) for colour in COLOURS.values()]
    figure.legend(lines, names, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{out.stem} (not for clinical use)", fontsize=11, parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(out, content.getvalue())


def _read_labels(file: Path) -> Labels:
    scan = read_scan(file)
    return Labels(scan.voxels.astype(np.uint8), scan.geometry)


def _telling_views(slices: Slices) -> list[View]:
    """The slices with most tumour and most cochlea; the middle of the scan without."""
    marked: NDArray[np.bool_] = np.any(slices.labels > 0, axis=0)  # (Y, X)
    centre_mm = extent_mm(marked, slices.grid)[0] if marked.any() else middle_mm(slices.grid)
    masks = {
        "tumour": np.isin(slices.labels, TUMOUR),
        "cochlea": slices.labels == Structure.COCHLEA,
    }
    return [View(what, busiest(mask), centre_mm, FIELD_MM) for what, mask in masks.items()]
