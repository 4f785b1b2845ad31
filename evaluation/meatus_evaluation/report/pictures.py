"""Label maps drawn over their scans."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meatus.atomic import write_whole
from meatus.errors import UsageError
from meatus.geometry import Geometry, nearest_labels
from meatus.io.images import read_scan
from meatus.report.panels import COLOURS, show
from meatus.report.plotting import Figure, Line2D
from meatus.report.views import Slices, View, as_slices, busiest, extent_mm, middle_mm, window
from meatus.service.cases import case_name
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Labels
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


def find_scans(folder: Path, pairs: Sequence[Pair]) -> dict[str, Path]:
    """The scan of each case that has one in ``folder``, whatever its contrast's mark.

    Label maps may lie beside the scans, also under a scan's name. Raises ``UsageError`` where the
    folder cannot be read.
    """
    labels = {
        file.resolve() for pair in pairs for file in (pair.reference, pair.prediction) if file
    }
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read ({error.strerror}). Pass the folder of the scans."
        ) from error
    seen = {case_name(file): file for file in files if file.resolve() not in labels}
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
