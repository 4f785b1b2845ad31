"""What a run has to label, and where: scans in files, or a DICOM study in a folder or archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from meatus.errors import UsageError
from meatus.io.images import SCAN_SUFFIXES, SUFFIXES
from meatus.io.tree import files_below
from meatus.service.cases import Case, Found, Skipped, find_cases, look_for_cases
from meatus.service.results import ENDINGS, Kind, parse_kinds, result_stem

ARCHIVE = ".zip"
DICOM = ".dcm"
DICOM_LIKE = ("", DICOM, ".ima")  # endings of files that are worth a look for their number


@dataclass(frozen=True)
class Inputs:
    """The cases of a run; what they leave lies in ``folder`` or below it."""

    cases: list[Case]
    folder: Path
    kinds: tuple[Kind, ...] | None = None  # what they leave; None: what the input gives
    skipped: Sequence[Skipped] = ()
    common: dict[Path, bytes] = field(default_factory=dict)  # files that are written once a run


def find_inputs(
    source: Path,
    output: Path,
    say: Callable[[str], None],
    *,
    kinds: tuple[Kind, ...] | None = None,
    series: str | None = None,
    recursive: bool = True,
    anonymous: bool = False,
    patient_names: bool = False,
) -> Inputs:
    """The cases of ``source``, sorted by name; ``output`` is their folder, or one result's file.

    Files named as scans come first: where a folder holds any, DICOM files in it are left alone.
    ``say`` hears which series was chosen and why. Raises ``UsageError`` where there is nothing, or
    several scans are to become one file.
    """
    named = _kinds_named(output, kinds)
    folder = output.parent if named else output
    found = _found(source, folder, say, series, recursive, anonymous, patient_names)
    if not named:
        return Inputs(found.cases, folder, kinds, found.skipped)
    if len(found.cases) > 1:
        raise UsageError(
            f"{source} holds {len(found.cases)} scans, and {output} is one file. Name a folder "
            "for the results, or pass one scan."
        )
    case = replace(found.cases[0], result=_label_map(output))
    return Inputs([case], folder, named, found.skipped)


def _kinds_named(output: Path, asked: tuple[Kind, ...] | None) -> tuple[Kind, ...]:
    """What is to be written where ``output`` names a file; nothing where it is a folder's name."""
    kind = _kind_of(output.name)
    if kind is None:
        return ()
    if output.is_dir():
        raise UsageError(
            f"{output} is a folder, and its name is a file's. Name a file in it, or another folder."
        )
    if asked is not None and kind not in asked:
        raise UsageError(f"--output {','.join(asked)} writes no such file as {output.name}.")
    return asked or parse_kinds(kind)


def _kind_of(name: str) -> Kind | None:
    """What a file of this ``name`` holds; None for a folder's. ``UsageError`` for what is not."""
    for kind, ending in ENDINGS.items():
        if name.endswith(ending):
            return kind
    if name.endswith(SUFFIXES):
        return "nifti"
    if name.endswith((*SCAN_SUFFIXES, DICOM)):
        raise UsageError(
            f"{name}: no result is written in this format; expected a folder, or a file named "
            f"*{', *'.join((*SUFFIXES, *ENDINGS.values()))}."
        )
    return None


def _label_map(output: Path) -> Path:
    """The label map's file beside which, by its name, a DICOM file lies."""
    return output if output.name.endswith(SUFFIXES) else Path(f"{result_stem(output)}.nii.gz")


def _found(
    source: Path,
    output: Path,
    say: Callable[[str], None],
    series: str | None,
    recursive: bool,
    anonymous: bool,
    patient_names: bool,
) -> Found:
    if series is None:
        found = look_for_cases(source, output, recursive=recursive)
        if found.cases:
            if beside := _dicom_beside(source, recursive):
                say(
                    f"left alone: {beside} DICOM file(s) beside the scans; pass their folder "
                    "instead"
                )
            return found
    elif not source.exists():
        raise UsageError(f"{source} does not exist. Pass the folder or .zip of a DICOM study.")
    if not _holds_dicom(source, recursive):
        if series is not None:
            raise UsageError(f"{source} holds no DICOM, so no --series can be chosen in it.")
        return find_cases(source, output, recursive=recursive)  # which says what was expected
    from meatus.dicom.study import find_series  # pydicom takes a moment to import

    study = find_series(
        source, series, recursive=recursive, anonymous=anonymous, patient_names=patient_names
    )
    for line in study.lines:
        say(line)
    return Found(
        [
            Case(one.name, source, output / f"{one.name}.nii.gz", one.stack, one.refused)
            for one in study.cases
        ]
    )


def _holds_dicom(source: Path, recursive: bool) -> bool:
    from meatus.dicom.entries import entries_in, looks_like_dicom

    if source.name.lower().endswith(ARCHIVE) and source.is_file():
        return True  # what is wrong with an archive, the search in it says
    return any(looks_like_dicom(entry) for entry in entries_in(source, recursive=recursive))


def _dicom_beside(source: Path, recursive: bool) -> int:
    """How many DICOM files lie in a folder of scans."""
    if not source.is_dir():
        return 0
    from meatus.dicom.entries import Entry, looks_like_dicom

    files = files_below(source, recursive=recursive)
    likely = (file for file in files if file.suffix.lower() in DICOM_LIKE)
    return sum(looks_like_dicom(Entry(file)) for file in likely)
