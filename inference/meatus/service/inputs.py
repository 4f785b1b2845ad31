"""What a run has to label: scans in files, or a DICOM study in a folder, a file or an archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meatus.errors import UsageError
from meatus.io.images import scan_ending
from meatus.service.cases import Case, case_name, find_cases

ARCHIVE = ".zip"


def find_inputs(
    source: Path,
    output: Path,
    say: Callable[[str], None],
    *,
    series: str | None = None,
    anonymous: bool = False,
    patient_names: bool = False,
) -> list[Case]:
    """The cases of ``source``, sorted by name.

    Files named as scans come first: where a folder holds any, DICOM files in it are left alone.
    ``say`` hears which series was chosen and why. Raises ``UsageError`` where there is nothing.
    """
    if series is None and (not source.exists() or _holds_scans(source)):
        return find_cases(source, output)
    if not source.exists():
        raise UsageError(f"{source} does not exist. Pass the folder or .zip of a DICOM study.")
    if not _holds_dicom(source):
        if series is not None:
            raise UsageError(f"{source} holds no DICOM, so no --series can be chosen in it.")
        return find_cases(source, output)  # which says what was expected
    from meatus.dicom.study import find_series  # pydicom takes a moment to import

    found = find_series(source, series, anonymous=anonymous, patient_names=patient_names)
    for line in found.lines:
        say(line)
    return [
        Case(one.name, source, output / f"{one.name}.nii.gz", one.stack, one.refused)
        for one in found.cases
    ]


def _holds_scans(source: Path) -> bool:
    if not source.is_dir():
        return bool(scan_ending(source.name))
    try:
        names = (file for file in source.iterdir() if not file.name.startswith("."))
        return any(case_name(file) is not None for file in names)
    except OSError:
        return True  # find_cases says why it cannot be read


def _holds_dicom(source: Path) -> bool:
    from meatus.dicom.entries import entries_in, looks_like_dicom

    if source.name.lower().endswith(ARCHIVE) and source.is_file():
        return True  # what is wrong with an archive, the search in it says
    return any(looks_like_dicom(entry) for entry in entries_in(source))
