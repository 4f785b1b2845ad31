"""Which prediction belongs to which reference, and whether both lie on the same grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meatus.errors import InferenceError, ScanError
from meatus.geometry import Geometry, same_grid
from meatus.io.images import SCAN_SUFFIXES, not_read, read_grid, scan_ending
from meatus.service.cases import CONTRAST_MARKS

REFERENCE_MARK = "_Label"
SCAN_MARKS = (*CONTRAST_MARKS, "_ceT1")

SITE = re.compile(r"crossmoda\d{4}_([a-z]+)_\d+")
NO_SITE = "other"


SHOWN = 3  # names in a message


class EvaluationError(InferenceError):
    """Two folders that cannot be compared."""


@dataclass(frozen=True)
class Pair:
    """A case's reference and its prediction, or None where there is none."""

    case: str
    reference: Path
    prediction: Path | None


@dataclass(frozen=True)
class Matched:
    pairs: tuple[Pair, ...]  # one per reference, sorted by case
    unmatched: tuple[Path, ...]  # predictions without a reference
    skipped: tuple[Path, ...] = ()  # what lies in either folder and is no label map by its name


def match_folders(predictions: Path, reference: Path) -> Matched:
    """Pair the label maps of two folders by case.

    A case's name is the file's without ending, ``_Label`` and the marks of scans (``_T2``,
    ``_hrT2``, ``_ceT1``, ``_0000``). Where a folder has names ``<case>_Label``, these are its
    references; for predictions ``<case>`` goes before ``<case>_Label``. Names of scans count only
    in a folder that holds no others: what else lies there are the scans themselves.

    Raises ``EvaluationError`` where a folder holds no label map, two files are of one case, or
    the folders have no case in common.
    """
    wanted = _by_case(reference, ("_Label", ""))
    given = _by_case(predictions, ("", "_Label"))
    common = wanted.keys() & given.keys()
    if not common:
        raise EvaluationError(
            f"{predictions} and {reference} have no case in common: found {_names(given)}, "
            f"expected {_names(wanted)}. Name each prediction <case>.nii.gz."
        )
    pairs = tuple(Pair(case, wanted[case], given.get(case)) for case in sorted(wanted))
    unmatched = tuple(given[case] for case in sorted(given.keys() - common))
    folders = dict.fromkeys((predictions, reference))
    return Matched(pairs, unmatched, tuple(one for each in folders for one in _skipped(each)))


def site_of(case: str) -> str:
    """The site in ``crossmoda<year>_<site>_<n>``; ``NO_SITE`` for other names."""
    found = SITE.fullmatch(case)
    return found.group(1) if found else NO_SITE


def check_grids(pairs: Sequence[Pair]) -> None:
    """Compare the grids of all pairs by their headers alone, before anything is scored.

    A prediction whose header cannot be read is left to its reader. Raises ``EvaluationError``
    with both geometries of the first pair that differs, ``ScanError`` for an unreadable reference.
    """
    apart = []
    for pair in pairs:
        expected = read_grid(pair.reference)[0]
        try:
            found = read_grid(pair.prediction)[0] if pair.prediction else expected
        except ScanError:
            continue
        if not same_grid(found, expected):
            apart.append((pair, found, expected))
    if apart:
        pair, found, expected = apart[0]
        more = f" The same holds for {len(apart) - 1} more." if len(apart) > 1 else ""
        raise EvaluationError(
            f"{pair.prediction} lies on another grid than its reference: {_described(found)}; "
            f"expected {_described(expected)}. Write it on the scan's grid, or pass --resample."
            f"{more}"
        )


def _by_case(folder: Path, marks: tuple[str, str]) -> dict[str, Path]:
    """Files of label maps by case; the first of ``marks`` goes before the second."""
    kinds: dict[str, dict[str, Path]] = {mark: {} for mark in (*marks, "scan")}
    for file in _files(folder):
        case, kind = _case_and_kind(file)
        if case in kinds[kind]:
            raise EvaluationError(
                f"{kinds[kind][case].name} and {file.name} in {folder} are both of the case "
                f"{case}. Keep one of them in the folder."
            )
        kinds[kind][case] = file
    first, second, scans = kinds.values()
    found = (first or second or scans) if marks[0] else (second | first or scans)
    if not found:
        raise EvaluationError(
            f"{folder} holds no label map; expected files named <case>{REFERENCE_MARK}.nii.gz "
            f"or <case>.nii.gz (or {', '.join(SCAN_SUFFIXES[1:])}) in the folder itself."
        )
    return found


def _case_and_kind(file: Path) -> tuple[str, str]:
    """The case, and whether the name is a label map's (``_Label``), plain or a scan's."""
    stem, kind = file.name.removesuffix(scan_ending(file.name)), ""
    while mark := next((m for m in (REFERENCE_MARK, *SCAN_MARKS) if stem.endswith(m)), None):
        if mark == stem:
            break
        kind = kind or (mark if mark == REFERENCE_MARK else "scan")
        stem = stem.removesuffix(mark)
    return stem, kind


def _files(folder: Path) -> list[Path]:
    return [
        file
        for file in _listed(folder)
        if not file.name.startswith(".") and scan_ending(file.name) and not file.is_dir()
    ]


def _skipped(folder: Path) -> list[Path]:
    folders = [file for file in _listed(folder) if file.is_dir() and scan_ending(file.name)]
    return sorted([*not_read(_listed(folder)), *folders])


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise EvaluationError(
            f"{folder} cannot be read ({error.strerror}). Pass a folder of label maps."
        ) from error


def _names(cases: dict[str, Path]) -> str:
    shown = ", ".join(sorted(cases)[:SHOWN])
    return f"{shown} and {len(cases) - SHOWN} more" if len(cases) > SHOWN else shown


def _described(grid: Geometry) -> str:
    """Size, spacing, origin and axes of a grid in one line."""
    spacing, origin = (
        " x ".join(f"{value:.4g}" for value in grid.spacing_mm),
        ", ".join(f"{value:.2f}" for value in grid.origin_mm),
    )
    axes = " ".join(f"{value:.3f}" for value in (np.array(grid.direction) + 0.0).tolist())
    return f"{grid.size} voxels of {spacing} mm from ({origin}) mm, axes [{axes}]"
