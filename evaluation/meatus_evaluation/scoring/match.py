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
from meatus.io.tree import files_below
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


def match_folders(predictions: Path, reference: Path, *, recursive: bool = True) -> Matched:
    """Pair the label maps of two folders, and of all below them, by case.

    A case's name is the path below the folder, and the file's without ending, ``_Label`` and the
    marks of scans (``_T2``, ``_hrT2``, ``_ceT1``, ``_0000``). Where a folder has names
    ``<case>_Label``, these are its references; for predictions ``<case>`` goes before
    ``<case>_Label``. Names of scans count only in a folder that holds no others: what else lies
    there are the scans themselves. Where one folder lies in the other, each file is of the inner
    one alone.

    Raises ``EvaluationError`` where a folder holds no label map, two files are of one case, or
    the folders have no case in common, ``UsageError`` where a folder cannot be read.
    """
    references = _listed(reference, predictions, recursive)
    results = _listed(predictions, reference, recursive)
    wanted = _by_case(reference, references, ("_Label", ""))
    given = _by_case(predictions, results, ("", "_Label"))
    common = wanted.keys() & given.keys()
    if not common:
        raise EvaluationError(
            f"{predictions} and {reference} have no case in common: found {_names(given)}, "
            f"expected {_names(wanted)}. Name each prediction <case>.nii.gz."
        )
    pairs = tuple(Pair(case, wanted[case], given.get(case)) for case in sorted(wanted))
    unmatched = tuple(given[case] for case in sorted(given.keys() - common))
    return Matched(pairs, unmatched, tuple(_skipped(list(dict.fromkeys(results + references)))))


def site_of(case: str) -> str:
    """The site in ``crossmoda<year>_<site>_<n>``; ``NO_SITE`` for other names."""
    found = SITE.fullmatch(case.rpartition("/")[2])
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


def _by_case(folder: Path, files: Sequence[Path], marks: tuple[str, str]) -> dict[str, Path]:
    """Which of the ``files`` of a folder are label maps, by case; the first mark goes first."""
    kinds: dict[str, dict[str, Path]] = {mark: {} for mark in (*marks, "scan")}
    for file in files:
        if not scan_ending(file.name) or file.is_dir():
            continue
        stem, kind = _stem_and_kind(file)
        case = file.relative_to(folder).with_name(stem).as_posix()
        if case in kinds[kind]:
            raise EvaluationError(
                f"{kinds[kind][case].name} and {file.name} in {file.parent} are both of the case "
                f"{case}. Keep one of them in the folder."
            )
        kinds[kind][case] = file
    first, second, scans = kinds.values()
    found = (first or second or scans) if marks[0] else (second | first or scans)
    if not found:
        raise EvaluationError(
            f"{folder} holds no label map; expected files named <case>{REFERENCE_MARK}.nii.gz "
            f"or <case>.nii.gz (or {', '.join(SCAN_SUFFIXES[1:])})."
        )
    return found


def _stem_and_kind(file: Path) -> tuple[str, str]:
    """The case's name, and whether the name is a label map's (``_Label``), plain or a scan's."""
    stem, kind = file.name.removesuffix(scan_ending(file.name)), ""
    while mark := next((m for m in (REFERENCE_MARK, *SCAN_MARKS) if stem.endswith(m)), None):
        if mark == stem:
            break
        kind = kind or (mark if mark == REFERENCE_MARK else "scan")
        stem = stem.removesuffix(mark)
    return stem, kind


def _skipped(files: Sequence[Path]) -> list[Path]:
    folders = [file for file in files if scan_ending(file.name) and file.is_dir()]
    return sorted([*not_read(files), *folders])


def _listed(folder: Path, other: Path, recursive: bool) -> list[Path]:
    """What lies in ``folder`` and below it, without what is of the ``other`` one in it."""
    apart = other.resolve()
    return list(
        files_below(folder, recursive=recursive, leave_out=lambda below: below.resolve() == apart)
    )


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
