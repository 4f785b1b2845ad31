"""Label maps drawn over their scans: as PNG files, and as the drawings of the HTML report.

Loads matplotlib, so import it only where pictures are wanted.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meatus.atomic import write_whole
from meatus.errors import InferenceError
from meatus.geometry import Geometry, nearest_labels
from meatus.io.images import read_scan
from meatus.io.tree import files_below
from meatus.report.panels import COLOURS, show
from meatus.report.plotting import Figure, Image, Line2D
from meatus.report.views import (
    MARGIN_MM,
    TUMOUR_FIELD_MM,
    Slices,
    View,
    as_slices,
    busiest,
    extent_mm,
    middle_mm,
    window,
)
from meatus.service.cases import case_name
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Labels, Scan
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.score import Scheme, read_labels

FIELD_MM = 100.0  # shown about the structures
SIDE_INCHES, DPI = 5.2, 80

# Labels of the scheme of 2022, 1 tumour and 2 cochlea, as those that are drawn.
DRAWN_2022 = np.array([0, Structure.EXTRA_MEATAL, Structure.COCHLEA], dtype=np.uint8)

# What each class is drawn as, and called; 2022's whole tumour takes the extra-meatal part's place.
NAMES: dict[Scheme, dict[Structure, str]] = {
    "2023": {
        Structure.EXTRA_MEATAL: "extra-meatal",
        Structure.INTRA_MEATAL: "intra-meatal",
        Structure.COCHLEA: "cochlea",
    },
    "2022": {Structure.EXTRA_MEATAL: "VS", Structure.COCHLEA: "cochlea"},
}

LabelMap = NDArray[np.uint8]

REPORT_SIDE_INCHES, REPORT_DPI = 3.6, 100
KEPT_BITS = 0xFC  # of each colour: 64 greys look the same and make a file a third smaller

PARTS = {"Tumour": TUMOUR, "Cochlea": (Structure.COCHLEA,)}


def find_scans(folder: Path, pairs: Sequence[Pair]) -> dict[str, Path]:
    """The scan of each case that has one in ``folder`` or below, whatever its contrast's mark.

    Label maps may lie beside the scans, also under a scan's name. Raises ``UsageError`` where the
    folder cannot be read.
    """
    labels = {
        file.resolve() for pair in pairs for file in (pair.reference, pair.prediction) if file
    }
    seen = {
        file.relative_to(folder).with_name(name).as_posix(): file
        for file in files_below(folder)
        if (name := case_name(file)) and file.resolve() not in labels
    }
    return {pair.case: seen[pair.case] for pair in pairs if pair.case in seen}


def draw_case(
    scan_file: Path, label_files: dict[str, Path], out: Path, scheme: Scheme = "2023"
) -> None:
    """One picture: a row per label map of ``label_files`` (title to file), two slices each.

    The slices are those with most tumour and most cochlea in the first map, axial, the
    patient's right on the left side of the picture. A map on another grid is put onto the scan's.
    """
    scan = read_scan(scan_file)
    maps = {
        title: as_slices(
            scan,
            Labels(nearest_labels(*drawn_labels(file, scheme), scan.geometry), scan.geometry),
        )
        for title, file in label_files.items()
    }
    views = _telling_views(next(iter(maps.values())))
    size = (SIDE_INCHES * len(views), SIDE_INCHES * len(maps) + 0.5)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    rows = figure.subplots(len(maps), len(views), squeeze=False)
    for row, (title, slices) in zip(rows, maps.items(), strict=True):
        limits = window(slices.voxels)
        for axes, view in zip(row, views, strict=True):
            show(axes, slices, view, limits, contours=True)
            axes.set_title(f"{title}: {view.title}, slice {view.index + 1}", fontsize=10)
    lines = [Line2D([], [], color=COLOURS[structure]) for structure in NAMES[scheme]]
    names = list(NAMES[scheme].values())
    figure.legend(lines, names, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{out.stem} (not for clinical use)", fontsize=11, parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(out, content.getvalue())


def drawn_labels(file: Path, scheme: Scheme) -> tuple[NDArray[np.uint8], Geometry]:
    """A label map (Z, Y, X) in 2023's numbers, as it is drawn, and its own grid."""
    voxels, grid = read_labels(file, scheme)
    return (voxels if scheme == "2023" else DRAWN_2022[voxels]), grid


def _telling_views(slices: Slices) -> list[View]:
    """The slices with most tumour and most cochlea; the middle of the scan without."""
    marked: NDArray[np.bool_] = np.any(slices.labels > 0, axis=0)  # (Y, X)
    centre_mm = extent_mm(marked, slices.grid)[0] if marked.any() else middle_mm(slices.grid)
    masks = {
        "tumour": np.isin(slices.labels, TUMOUR),
        "cochlea": slices.labels == Structure.COCHLEA,
    }
    return [View(what, busiest(mask), centre_mm, FIELD_MM) for what, mask in masks.items()]


@dataclass(frozen=True)
class Picture:
    title: str
    source: str  # a data URL


@dataclass(frozen=True)
class Drawing:
    """One slice, with the reference and with the result."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Drawn:
    drawings: tuple[Drawing, ...]
    notes: tuple[str, ...]  # what is missing or differs


def draw_pair(pair: Pair, scheme: Scheme, scan_file: Path | None) -> Drawn:
    """The slices with most voxels that differ, one for the tumour and one for the cochlea.

    What cannot be read is told in the notes: a report is not lost for a picture.
    """
    notes: list[str] = []
    try:
        truth, grid = drawn_labels(pair.reference, scheme)
    except InferenceError:
        return Drawn((), ("The reference can no longer be read.",))
    scan = _scan(scan_file, grid, notes)
    given = _result(pair, scheme, scan.geometry, notes)
    maps = {"reference": nearest_labels(truth, grid, scan.geometry)} | given
    slices = {name: as_slices(scan, Labels(voxels, scan.geometry)) for name, voxels in maps.items()}
    views = _differing_views([each.labels for each in slices.values()], slices["reference"].grid)
    if not views:
        notes.append("Neither map has a structure.")
    limits = window(slices["reference"].voxels)
    drawings = tuple(
        Drawing(view.title, tuple(_draw(name, s, view, limits) for name, s in slices.items()))
        for view in views
    )
    return Drawn(drawings, tuple(notes))


def _scan(file: Path | None, grid: Geometry, notes: list[str]) -> Scan:
    """The case's scan, or black on the reference's grid."""
    if file:
        try:
            return read_scan(file)
        except InferenceError:
            notes.append("The scan cannot be read.")
    return Scan(np.zeros(grid.shape, dtype=np.float32), grid)


def _result(pair: Pair, scheme: Scheme, target: Geometry, notes: list[str]) -> dict[str, LabelMap]:
    if pair.prediction:
        try:
            return {"result": nearest_labels(*drawn_labels(pair.prediction, scheme), target)}
        except InferenceError:
            pass  # told below: to the reader it is the same
    notes.append("There is no usable result.")
    return {}


def _differing_views(maps: list[LabelMap], grid: Geometry) -> list[View]:
    """For tumour and cochlea, the slice in which the maps (Z, Y, X) differ most.

    Where they agree, the slice with most of the structure; none where no map has it.
    """
    views = []
    for name, structures in PARTS.items():
        parts = [np.where(np.isin(voxels, structures), voxels, 0) for voxels in maps]
        marked = np.any(parts, axis=0)
        if not marked.any():
            continue
        differ = parts[0] != parts[-1]
        index = busiest(differ if differ.any() else marked)
        centre_mm, longest_mm = extent_mm(marked[index], grid)
        count = int(np.count_nonzero(differ[index]))
        told = f", {count} voxels differ" if len(maps) > 1 else ""
        title = f"{name}: slice {index + 1} of {grid.size[2]}{told}"
        views.append(View(title, index, centre_mm, max(TUMOUR_FIELD_MM, longest_mm + MARGIN_MM)))
    return views


def _draw(name: str, slices: Slices, view: View, limits: tuple[float, float]) -> Picture:
    size = (REPORT_SIDE_INCHES, REPORT_SIDE_INCHES)
    figure = Figure(figsize=size, dpi=REPORT_DPI, facecolor="black")
    show(figure.add_axes((0, 0, 1, 1)), slices, view, limits, contours=True)
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    coarse = np.asarray(Image.open(drawn).convert("RGB")) & KEPT_BITS
    Image.fromarray(coarse).save(content, format="png", optimize=True)
    return Picture(name, "data:image/png;base64," + base64.b64encode(content.getvalue()).decode())
