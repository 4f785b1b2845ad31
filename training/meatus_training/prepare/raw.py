"""Scans as they lie in the challenge's folders, before anything is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus.io.images import SCAN_SUFFIXES
from meatus.structures import Structure
from meatus_training.prepare.cases import Modality, Split

# What the numbers of a label map mean. The tumour is one class in the years 2021 and 2022.
Part = Literal["background", "extra_meatal", "intra_meatal", "cochlea", "tumour"]
THREE_PARTS: tuple[Part, ...] = ("background", "extra_meatal", "intra_meatal", "cochlea")
WHOLE_TUMOUR: tuple[Part, ...] = ("background", "tumour", "cochlea")

NUMBER: dict[Part, Structure] = {
    "background": Structure.BACKGROUND,
    "extra_meatal": Structure.EXTRA_MEATAL,
    "intra_meatal": Structure.INTRA_MEATAL,
    "cochlea": Structure.COCHLEA,
    "tumour": Structure.EXTRA_MEATAL,  # only where the settings allow it
}

SHOWN = 3  # names in a line


@dataclass(frozen=True)
class RawCase:
    """One scan, and its label map where it is to be learnt from."""

    name: str  # unique within its split
    split: Split
    site: str
    modality: Modality
    scan: Path
    label: Path | None = None
    parts: tuple[Part, ...] = THREE_PARTS  # by the number in the label map


@dataclass(frozen=True)
class Found:
    """What a folder holds: scans to prepare, what is wrong with it, what is left aside."""

    layout: str
    cases: tuple[RawCase, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def duplicates(cases: list[RawCase], data: Path) -> list[str]:
    """A line for every two scans that would become the same case."""
    first: dict[tuple[str, str], RawCase] = {}
    lines = []
    for case in cases:
        known = first.setdefault((case.split, case.name), case)
        if known is not case:
            lines.append(
                f"{shown(case.scan, data)}: {case.name} is {shown(known.scan, data)} already; "
                "leave one of them."
            )
    return lines


def shown(file: Path, data: Path) -> str:
    """``file`` as the user knows it: below the folder that was named."""
    return str(file.relative_to(data)) if file.is_relative_to(data) else str(file)


def skipped_note(skipped: Sequence[Path], data: Path) -> tuple[str, ...]:
    """A line that counts and names files that are no scans by their names."""
    if not skipped:
        return ()
    names = ", ".join(shown(file, data) for file in skipped[:SHOWN])
    more = ", ..." if len(skipped) > SHOWN else ""
    return (
        f"no scans by their names, not read: {len(skipped)} ({names}{more}); "
        f"scans end in {', '.join(SCAN_SUFFIXES)}.",
    )
