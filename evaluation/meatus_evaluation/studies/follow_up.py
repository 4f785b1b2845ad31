"""All dates of one patient's tumour: which label map is of which day, and what changed between.

Each pair of dates is judged as two time points are (``growth``). What many pairs say together is
not corrected for their number: of many small changes some are beyond a limit by chance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from meatus.errors import UsageError
from meatus.io.images import scan_ending
from meatus_evaluation.scoring.match import SCAN_MARKS
from meatus_evaluation.studies.growth import (
    BOUNDARY_SD_MM,
    Growth,
    TimePoint,
    growth,
    read_tumour,
    time_point,
    years_between,
)

DATE = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)|(?<!\d)(\d{4})(\d\d)(\d\d)(?!\d)")
YEARS = range(1980, 2200)  # others are numbers that only look like a date

# In a sidecar: DICOM's keywords, as converters such as dcm2niix write them, and the tag that
# DICOM's own JSON has (PS3.18 F).
KEYWORDS = ("StudyDate", "SeriesDate", "AcquisitionDate", "AcquisitionDateTime")
STUDY_DATE_TAG = "00080020"
HOW = (
    "Put the scan's date into each file's name (2024-03-01.nii.gz or tumour_20240301.nii.gz), or "
    "a StudyDate into <name>.json beside it."
)


@dataclass(frozen=True)
class Visit:
    """One date, measured."""

    day: date
    point: TimePoint


@dataclass(frozen=True)
class Course:
    """At least two visits in the order of their dates."""

    visits: tuple[Visit, ...]
    steps: tuple[Growth, ...]  # from each visit to the next
    whole: Growth  # from the first visit to the last


def find_maps(folder: Path) -> dict[date, Path]:
    """The label map of each date in ``folder``, in order.

    Scans (``*_T2``, ``*_hrT2``, ``*_ceT1``, ``*_0000``) and hidden files are passed over. Raises
    ``UsageError`` where a file has no date, two have the same, or there are fewer than two.
    """
    maps: dict[date, Path] = {}
    for file in _label_maps(folder):
        day = date_of(file)
        if day in maps:
            raise UsageError(
                f"{maps[day].name} and {file.name} in {folder} are both of {day}. Keep one label "
                "map of each date in the folder."
            )
        maps[day] = file
    if len(maps) < 2:
        raise UsageError(
            f"{folder} holds {len(maps) or 'no'} label map{'s' * (not maps)}; growth needs two "
            f"dates or more. {HOW}"
        )
    return dict(sorted(maps.items()))


def date_of(file: Path) -> date:
    """The date in the name of a label map, else in its sidecar.

    A sidecar is ``<name>.json``, or the DICOM-SEG ``<name>.seg.dcm`` of the same result. Raises
    ``UsageError`` where neither has a date, or the name has two.
    """
    named = set(_dates_in(file.name))
    if len(named) > 1:
        told = " and ".join(str(day) for day in sorted(named))
        raise UsageError(f"{file}: its name holds {told}. Leave the scan's date alone in it.")
    stem = _stem(file)
    found = [*named, *_json_date(file.with_name(f"{stem}.json"))]
    if not found:
        found += _dicom_date(file.with_name(f"{stem}.seg.dcm"))
    if not found:
        raise UsageError(f"{file} has no date. {HOW}")
    return found[0]


def read_course(maps: dict[date, Path], boundary_sd_mm: float = BOUNDARY_SD_MM) -> Course:
    """Measure the label maps of at least two dates, in their order.

    Raises ``InferenceError`` where one is no label map.
    """
    visits = [Visit(day, time_point(read_tumour(f), boundary_sd_mm)) for day, f in maps.items()]
    return course(visits)


def course(visits: Sequence[Visit]) -> Course:
    """Of at least two visits in the order of their dates."""
    steps = (_between(*pair) for pair in pairwise(visits))
    return Course(tuple(visits), tuple(steps), _between(visits[0], visits[-1]))


def _between(earlier: Visit, later: Visit) -> Growth:
    return growth(earlier.point, later.point, years_between(earlier.day, later.day))


def _label_maps(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read ({error.strerror}). Pass the folder of one patient's label "
            "maps, or two label maps."
        ) from error
    return [
        file
        for file in files
        if scan_ending(file.name)
        and not file.name.startswith(".")
        and not _stem(file).endswith(SCAN_MARKS)
    ]


def _stem(file: Path) -> str:
    return file.name.removesuffix(scan_ending(file.name) or file.suffix)


def _dates_in(text: str) -> list[date]:
    found = []
    for match in DATE.finditer(text):
        year, month, day = (int(part) for part in match.groups() if part is not None)
        try:
            found += [date(year, month, day)] if year in YEARS else []
        except ValueError:  # such as 20241399
            continue
    return found


def _json_date(sidecar: Path) -> list[date]:
    """The study date in a sidecar, or nothing where there is no sidecar or it states none."""
    try:
        content: Any = json.loads(sidecar.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{sidecar} is no readable JSON ({error}). Mend or remove it.") from error
    stated = content if isinstance(content, dict) else {}
    tag = stated.get(STUDY_DATE_TAG)
    values = tag.get("Value") if isinstance(tag, dict) else None
    words = [stated.get(word) for word in KEYWORDS] + (values if isinstance(values, list) else [])
    return [day for word in words if isinstance(word, str) for day in _dates_in(word[:10])]


def _dicom_date(file: Path) -> list[date]:
    if not file.is_file():
        return []
    from meatus.dicom.headers import study_date  # pydicom takes a moment to import

    return _dates_in(study_date(file))
