"""The challenge's folders, of all its years, and cohorts of phantoms in the same layout.

2023: ``TrainingSource/crossmoda2023_<site>_<n>_ceT1.nii.gz`` with ``..._Label.nii.gz``,
``TrainingTarget/crossmoda2023_<site>_<n>_T2.nii.gz``, the same names in ``crossmoda23_validation``.
2021 and 2022: ``crossmoda_<n>_...`` or ``crossmoda2022_<site>_<n>_...``, where hrT2 scans end in
``_hrT2`` and label maps hold the whole tumour as 1 and the cochlea as 2.

Names say what a file is; folders only set validation and test scans apart, so that it does
not matter how the archives were unpacked.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus.io.images import not_read, scan_ending
from meatus_evaluation.scoring.match import site_of
from meatus_training.prepare.cases import Split
from meatus_training.prepare.raw import (
    THREE_PARTS,
    WHOLE_TUMOUR,
    Found,
    RawCase,
    duplicates,
    shown,
    skipped_note,
)

Kind = Literal["ceT1", "hrT2", "label"]
MARKS: dict[str, Kind] = {"_ceT1": "ceT1", "_T2": "hrT2", "_hrT2": "hrT2", "_Label": "label"}

VALIDATION, TEST = re.compile(r"valid", re.IGNORECASE), re.compile(r"(^|[^a-z])test", re.IGNORECASE)
# Beside the challenge's folders in a cohort of phantoms; nothing here is to be trained on.
LEFT_ASIDE = ("truth", "paired")

YEAR = re.compile(r"crossmoda(\d{4})?_.*")


@dataclass(frozen=True)
class NamedFile:
    """A file and what its name and folder say about it."""

    path: Path
    case: str
    kind: Kind
    old_name: bool  # whether it ends in _hrT2
    split: Literal["training", "validation", "test"]


def find_challenge(data: Path) -> Found:
    """All scans below ``data`` that are named as the challenge names them."""
    files, problems, there = [], [], all_files(data)
    for path in (path for path in there if scan_ending(path.name)):
        file = _named(path, data)
        if file is None:
            marks = ", ".join(f"*{mark}" for mark in MARKS)
            problems.append(f"{shown(path, data)}: not a name of the challenge ({marks}).")
        elif file.split != "test":
            files.append(file)
    old = any(file.old_name for file in files)
    cases, pairing = _paired(files, data, old)
    older = old or any(case.parts == WHOLE_TUMOUR for case in cases)
    return Found(
        layout="crossMoDA 2021/2022" if older else "crossMoDA 2023",
        cases=tuple(cases),
        problems=(*problems, *pairing, *duplicates(cases, data)),
        notes=(*_notes(files, data), *skipped_note(not_read(there), data)),
    )


def all_files(data: Path) -> list[Path]:
    """Files that may be scans, also behind links; raises ``OSError`` for what is closed."""
    found: list[Path] = []
    known: set[Path] = set()
    for place, folders, names in os.walk(data, followlinks=True, onerror=_fail):
        folder = Path(place)
        left_aside = LEFT_ASIDE if folder == data else ()
        again = folder.resolve() in known  # a link back
        known.add(folder.resolve())
        folders[:] = [f for f in folders if not again and not _hidden(f) and f not in left_aside]
        found += [folder / name for name in names if not again and not _hidden(name)]
    return sorted(found)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _fail(error: OSError) -> None:
    raise error


def _named(path: Path, data: Path) -> NamedFile | None:
    stem = path.name.removesuffix(scan_ending(path.name))
    mark = next((mark for mark in MARKS if stem.endswith(mark)), None)
    if mark is None or stem == mark:
        return None
    folders = path.relative_to(data).parts[:-1]
    split: Literal["training", "validation", "test"] = "training"
    if any(VALIDATION.search(folder) for folder in folders):
        split = "validation"
    elif any(TEST.search(folder) for folder in folders):
        split = "test"
    return NamedFile(path, stem.removesuffix(mark), MARKS[mark], mark == "_hrT2", split)


def _paired(files: list[NamedFile], data: Path, old: bool) -> tuple[list[RawCase], list[str]]:
    """Scans with their label maps, and a line for each that lacks the other."""
    training = [file for file in files if file.split == "training"]
    labels = {file.case: file.path for file in training if file.kind == "label"}
    scanned = {file.case for file in training if file.kind != "label"}
    cases, problems = [], []
    for file in files:
        name, site = shown(file.path, data), site_of(file.case)
        if file.kind == "hrT2":
            split: Split = "target" if file.split == "training" else "validation"
            cases.append(RawCase(file.case, split, site, "hrT2", file.path))
        elif file.split == "validation":
            problems.append(f"{name}: found among validation scans; expected hrT2 scans alone.")
        elif file.kind == "label":
            if file.case not in scanned:
                problems.append(f"{name}: its scan {file.case}_ceT1 is missing.")
        elif file.case in labels:
            parts = WHOLE_TUMOUR if _two_classes(file.case, old) else THREE_PARTS
            label = labels[file.case]
            cases.append(RawCase(file.case, "source", site, "ceT1", file.path, label, parts))
        else:
            problems.append(f"{name}: its label map {file.case}_Label is missing.")
    return cases, problems


def _two_classes(case: str, old: bool) -> bool:
    """Whether the case is of a year whose label maps do not split the tumour.

    Names of 2021 bear no year; names that are not the challenge's go by the folder's other ones.
    """
    year = YEAR.fullmatch(case)
    return year.group(1) in (None, "2021", "2022") if year else old


def _notes(files: list[NamedFile], data: Path) -> tuple[str, ...]:
    hrt2 = {file.case for file in files if file.kind == "hrT2" and file.split == "training"}
    cet1 = {file.case for file in files if file.kind == "ceT1"}
    beside = [
        file
        for file in files
        if file.kind == "label" and file.case in hrt2 and file.case not in cet1
    ]
    if not beside:
        return ()
    return (
        f"{shown(beside[0].path, data)}: {len(beside)} label maps of hrT2 scans are not read; "
        "nothing may learn from the target's labels.",
    )
