"""Reads every file once and says all that is wrong with it, before anything is made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meatus.errors import ScanError
from meatus.geometry import Geometry, axial, same_grid
from meatus.io.images import read_label_map, read_scan
from meatus.volumes import Scan
from meatus_training.prepare.raw import RawCase, shown
from meatus_training.prepare.settings import PrepareSettings


@dataclass(frozen=True)
class Checked:
    """What reading one case brought; lines name files as below the folder of the data."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    digest: str = ""  # SHA-256 of the scan's file
    numbers: tuple[int, ...] = ()  # that the label map holds


def check_case(case: RawCase, settings: PrepareSettings, data: Path) -> Checked:
    """Read the scan and its label map to their ends."""
    name = shown(case.scan, data)
    scan, problems = _read(case.scan)
    if scan is None:
        return Checked((*problems, *_check_label(case, None, settings, data)[0]))
    if float(scan.voxels.min()) == float(scan.voxels.max()):
        problems.append(f"{name}: every voxel is the same; export the scan again.")
    wrong, numbers = _check_label(case, scan.geometry, settings, data)
    warnings = tuple(f"{name}: {line}" for line in scan.warnings)
    return Checked((*problems, *wrong), warnings, _sha256(case.scan), numbers)


def same_files(checked: Sequence[tuple[RawCase, Checked]], data: Path) -> list[str]:
    """A line for each scan whose file is, byte for byte, another one's."""
    first: dict[str, RawCase] = {}
    lines = []
    for case, result in checked:
        known = first.setdefault(result.digest, case) if result.digest else case
        if known is not case:
            one, other = shown(known.scan, data), shown(case.scan, data)
            lines.append(f"{other}: is the same file as {one}; leave one of them.")
    return lines


def no_cochlea(checked: Sequence[tuple[RawCase, Checked]]) -> list[str]:
    """A line where no label map of the source shows a cochlea: they are numbered otherwise.

    Every scan of the challenge shows one, but many a scan has lost one part of its tumour.
    """
    labelled = [(case, seen) for case, seen in checked if case.label and not seen.problems]
    if not labelled or any(case.parts.index("cochlea") in seen.numbers for case, seen in labelled):
        return []
    case = labelled[0][0]
    return [
        f"none of {len(labelled)} label maps holds {case.parts.index('cochlea')} (cochlea), which "
        "every scan shows; see whether they are numbered as their names say."
    ]


def _check_label(
    case: RawCase, grid: Geometry | None, settings: PrepareSettings, data: Path
) -> tuple[list[str], tuple[int, ...]]:
    """What is wrong with the case's label map, and the numbers that it holds."""
    if case.label is None:
        return [], ()
    try:
        label = read_label_map(case.label, dict(enumerate(case.parts)))
    except ScanError as error:
        return [str(error).replace(str(case.label), shown(case.label, data), 1)], ()
    values = np.unique(label.voxels)
    lines = _wrong_values(values, case, settings)
    if grid is not None and not same_grid(axial(label.geometry), axial(grid)):
        lines.append(
            f"lies on another grid than its scan: {_described(label.geometry)}; expected "
            f"{_described(grid)}. Draw or export the labels on the scan's own grid."
        )
    numbers = () if lines else tuple(int(value) for value in values)
    return [f"{shown(case.label, data)}: {line}" for line in lines], numbers


def _wrong_values(values: NDArray[np.uint8], case: RawCase, settings: PrepareSettings) -> list[str]:
    """Lines about the different ``values`` of a label map."""
    if values.max() == 0:
        return ["is empty; expected a cochlea at least."]
    if "tumour" in case.parts and settings.whole_tumour == "refuse":
        return [
            "has the tumour as one class (2021, 2022), which cannot be split into its extra- and "
            "intra-meatal parts; pass --vs-as extra to call all of it extra-meatal."
        ]
    return []


def _described(grid: Geometry) -> str:
    """The grid in the axial frame: for a line that tells two of them apart."""
    grid = axial(grid)
    size = " x ".join(str(count) for count in grid.size)
    spacing = " x ".join(f"{width:.4g}" for width in grid.spacing_mm)
    origin = ", ".join(f"{place:.2f}" for place in grid.origin_mm)
    return f"{size} voxels of {spacing} mm from ({origin})"


def _read(path: Path) -> tuple[Scan | None, list[str]]:
    try:
        return read_scan(path), []
    except ScanError as error:
        return None, [str(error)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
