"""Which files of a folder are cases, and where each result goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meatus.errors import UsageError
from meatus.io.images import SCAN_SUFFIXES, scan_ending

if TYPE_CHECKING:
    from meatus.dicom.stacks import Stack

# Ends of file names that name the contrast and are not part of the case's name: crossMoDA
# 2023, crossMoDA 2021/2022, nnU-Net.
CONTRAST_MARKS = ("_T2", "_hrT2", "_0000")

# What lies beside the scans in the challenge's and our training folders and is no hrT2 scan.
OTHER_MARKS = ("_Label", "_ceT1")


@dataclass(frozen=True)
class Case:
    name: str
    scan: Path  # of a DICOM series: the folder, file or archive that it was looked for in
    result: Path
    series: Stack | None = None  # of DICOM
    refused: str = ""  # why there is nothing to label

    @property
    def files(self) -> set[Path]:
        """All that is read of it."""
        planes = self.series.planes if self.series else ()
        return {self.scan, *(plane.entry.path for plane in planes)}


def case_name(file: Path) -> str | None:
    """The case of a scan's file name, or None where the file is no hrT2 scan."""
    ending = scan_ending(file.name)
    stem = file.name.removesuffix(ending)
    if not ending or not stem or stem.endswith(OTHER_MARKS):
        return None
    mark = next((mark for mark in CONTRAST_MARKS if stem.endswith(mark)), "")
    return stem.removesuffix(mark) or stem


def find_cases(source: Path, output: Path) -> list[Case]:
    """The cases of a folder, sorted by name, or the one of a single file.

    Raises ``UsageError`` where there is none, or where two scans would write the same result.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist. Pass a folder with hrT2 scans or one scan.")
    visible = (file for file in _files(source) if not file.name.startswith("."))
    cases: dict[str, Case] = {}
    for file in visible:
        name = case_name(file)
        if name is None:
            continue
        if name in cases:
            raise UsageError(
                f"{cases[name].scan.name} and {file.name} in {source} would both write "
                f"{name}.nii.gz. Keep one of them in the folder."
            )
        cases[name] = Case(name, file, output / f"{name}.nii.gz")
    if not cases:
        raise UsageError(
            f"{source} holds no scan; expected files named *{', *'.join(SCAN_SUFFIXES)}, "
            "or a DICOM study."
        )
    return list(cases.values())


def _files(source: Path) -> list[Path]:
    """The one file, or what a folder holds: links that lead nowhere too, so that they are told."""
    if not source.is_dir():
        return [source]
    try:
        return sorted(source.iterdir())
    except OSError as error:
        raise UsageError(
            f"{source} cannot be read ({error.strerror}). Give this user the right to read it."
        ) from error
