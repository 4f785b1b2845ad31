"""Which files of a folder are cases, what is left out by its name, and where each result goes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from meatus.errors import UsageError
from meatus.io.images import SCAN_SUFFIXES, scan_ending
from meatus.io.tree import files_below

if TYPE_CHECKING:
    from meatus.dicom.stacks import Stack

# Ends of file names that name the contrast and are not part of the case's name: crossMoDA
# 2023, crossMoDA 2021/2022, nnU-Net, BIDS.
CONTRAST_MARKS = ("_T2", "_hrT2", "_0000", "_T2w")

# Ends of names, or whole names, of what often lies beside a hrT2 scan and is none, in any case.
LABEL_MARKS = "dseg|gt|label|labelmap|labels|mask|probabilities|probseg|seg|segmentation"
OTHER_MARKS = (
    "adc|angio|bold|ce_?t1|ct|dwi|epi|flair|inplanet1|mra|pd|pdw|pet|swi|t1|t1c|t1ce|t1gd|t1map|"
    "t1post|t1w|t2flair|t2map|t2star|t2starw|tof|unit1"
)
MARKED = re.compile(rf"(?:^|[_.-])(?:({LABEL_MARKS})|({OTHER_MARKS}))$", re.IGNORECASE)

# nnU-Net numbers the contrasts of a case, from _0000.
CHANNEL = re.compile(r"(.+)_(\d{4})")

# BIDS: sub-<label>[_<entity>-<label>...]_<suffix>, in a folder named after the kind of data.
BIDS_NAME = re.compile(r"sub-[A-Za-z0-9]+(?:_[a-z]+-[A-Za-z0-9+]+)*_([A-Za-z0-9]+)")
BIDS_FOLDERS = {"anat", "dwi", "fmap", "func", "perf", "pet", "swi"}
BIDS_DATASET = "dataset_description.json"
BIDS_BESIDE = {"derivatives", "sourcedata"}  # what lies there was made of the scans, or they of it

SHOWN = 10  # names in a line


@dataclass(frozen=True, slots=True)  # an archive has a million
class Case:
    name: str  # unique in a run: of a file below INPUT's sub-folders with their names, as a/b/name
    scan: Path  # of a DICOM series: the folder, file or archive that it was looked for in
    result: Path
    series: Stack | None = None  # of DICOM
    refused: str = ""  # why there is nothing to label
    soft: Path | None = None  # where its soft maps go; None: beside the result, by its name
    sidecars: tuple[tuple[Path, bytes], ...] = ()  # files that stand beside its result

    @property
    def files(self) -> set[Path]:
        """All that is read of it."""
        planes = self.series.planes if self.series else ()
        return {self.scan, *(plane.entry.path for plane in planes)}


@dataclass(frozen=True)
class Skipped:
    """What is left out by its name."""

    name: str  # below INPUT
    why: str


@dataclass(frozen=True)
class Found:
    """The cases of a source, sorted by name, and what was left out."""

    cases: list[Case]
    skipped: list[Skipped] = field(default_factory=list)


def scan_stem(file: Path) -> str | None:
    """A scan's file name without its ending, in any case; None where that is no scan's."""
    ending = scan_ending(file.name)
    return file.name.removesuffix(ending) or None if ending else None


def case_name(file: Path) -> str | None:
    """The case of a scan's file name, or None where the name is no hrT2 scan's."""
    stem = scan_stem(file)
    return None if stem is None or other_kind(stem) else _without_mark(stem)


def _without_mark(stem: str) -> str:
    mark = next((mark for mark in CONTRAST_MARKS if stem.endswith(mark)), "")
    return stem.removesuffix(mark) or stem


def other_kind(stem: str, folder: str = "") -> str:
    """What a scan's name says that it is instead of a hrT2 scan; empty where nothing says so.

    ``folder`` is the name of the one that it lies in.
    """
    if marked := MARKED.search(stem):
        label, contrast = marked.groups()
        return f"a label map ({label})" if label else contrast
    named = BIDS_NAME.fullmatch(stem) if folder in BIDS_FOLDERS else None
    if named and f"_{named[1]}" not in CONTRAST_MARKS:
        return named[1]
    return ""


def find_cases(source: Path, output: Path, *, recursive: bool = True) -> Found:
    """As ``look_for_cases``, but raises ``UsageError`` where there is none."""
    found = look_for_cases(source, output, recursive=recursive)
    if not found.cases:
        beside = ""
        if found.skipped:
            beside = f" ({skipped_words(found.skipped)}; to label one, pass it alone)"
        raise UsageError(
            f"{source} holds no scan; expected files named *{', *'.join(SCAN_SUFFIXES)}, "
            f"or a DICOM study{beside}."
        )
    return found


def look_for_cases(source: Path, output: Path, *, recursive: bool = True) -> Found:
    """The cases of a folder and of all below it, or the one of a single file, whatever its name.

    Results lie below ``output`` as scans do below ``source``. What lies in ``output`` is no scan.
    Raises ``UsageError`` where two scans would write the same result.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist. Pass a folder with hrT2 scans or one scan.")
    if not source.is_dir():
        stem = scan_stem(source)
        if stem is None:
            return Found([])
        name = _without_mark(stem)
        return Found([Case(name, source, output / f"{name}.nii.gz")])
    files, skipped = _sorted_out(source, output, recursive)
    cases: dict[str, Case] = {}
    for file, stem in files.items():
        name = file.relative_to(source).with_name(_without_mark(stem)).as_posix()
        if name in cases:
            raise UsageError(
                f"{cases[name].scan.relative_to(source)} and {file.relative_to(source)} in "
                f"{source} would both write {name}.nii.gz. Keep one of them in the folder."
            )
        cases[name] = Case(name, file, output / f"{name}.nii.gz")
    return Found([cases[name] for name in sorted(cases)], skipped)


def _sorted_out(
    source: Path, output: Path, recursive: bool
) -> tuple[dict[Path, str], list[Skipped]]:
    """The scans of a folder with the stems of their names, and what is left out by its name."""
    skipped = []
    own = output.resolve()

    def leave_out(folder: Path) -> bool:
        if folder.name in BIDS_BESIDE and (folder.parent / BIDS_DATASET).is_file():
            name = f"{folder.relative_to(source).as_posix()}/"
            skipped.append(Skipped(name, "a folder beside the scans of a BIDS dataset"))
            return True
        return folder.resolve() == own

    named = {}
    for file in files_below(source, recursive=recursive, leave_out=leave_out):
        if stem := scan_stem(file):
            named[file] = stem
    first_channels = {(file.parent, stem) for file, stem in named.items()}
    scans = {}
    for file, stem in named.items():
        why = other_kind(stem, file.parent.name)
        channel = CHANNEL.fullmatch(stem)
        if channel and (file.parent, f"{channel[1]}_0000") in first_channels:
            why = why or (f"nnU-Net's contrast {channel[2]}" if channel[2] != "0000" else "")
        if why:
            skipped.append(Skipped(file.relative_to(source).as_posix(), why))
        else:
            scans[file] = stem
    return scans, skipped


def skipped_lines(skipped: Sequence[Skipped], *, named: bool = True) -> list[str]:
    """What is left out, a line each; of many, or where none may be ``named``, a line a kind."""
    if named and len(skipped) <= SHOWN:
        return [f"left out by its name: {one.name}, {one.why}" for one in skipped]
    kinds = Counter(one.why for one in skipped)
    return [f"left out by their names: {count} x {why}" for why, count in sorted(kinds.items())]


def skipped_words(skipped: Sequence[Skipped], *, named: bool = True) -> str:
    """How many are left out and, where they may be ``named``, which."""
    names = [one.name for one in skipped[:SHOWN]] + ["..."] * (len(skipped) > SHOWN)
    told = f": {', '.join(names)}" if named else ""
    return f"{len(skipped)} left out by name{told}"
