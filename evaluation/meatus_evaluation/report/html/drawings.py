"""A case's reference and result over its scan, or over black where there is none.

Loads matplotlib, so import it only where pictures are wanted.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meatus.errors import InferenceError
from meatus.geometry import Geometry, nearest_labels
from meatus.io.images import read_scan
from meatus.report.panels import show
from meatus.report.plotting import Figure, Image
from meatus.report.views import (
    MARGIN_MM,
    TUMOUR_FIELD_MM,
    Slices,
    View,
    as_slices,
    busiest,
    extent_mm,
    window,
)
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Labels, Scan
from meatus_evaluation.report.pictures import drawn_labels
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.score import Scheme

LabelMap = NDArray[np.uint8]

SIDE_INCHES, DPI = 3.6, 100
KEPT_BITS = 0xFC  # of each colour: 64 greys look the same and make a file a third smaller

PARTS = {"Tumour": TUMOUR, "Cochlea": (Structure.COCHLEA,)}


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
    views = _telling_views([each.labels for each in slices.values()], slices["reference"].grid)
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


def _telling_views(maps: list[LabelMap], grid: Geometry) -> list[View]:
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
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), dpi=DPI, facecolor="black")
    show(figure.add_axes((0, 0, 1, 1)), slices, view, limits, contours=True)
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    coarse = np.asarray(Image.open(drawn).convert("RGB")) & KEPT_BITS
    Image.fromarray(coarse).save(content, format="png", optimize=True)
    return Picture(name, "data:image/png;base64," + base64.b64encode(content.getvalue()).decode())
