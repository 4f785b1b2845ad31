"""Takes paths and names out of lines: a patient's name may be in either.

The log hides all that it is told to hide, and what still looks like a path; the report names cases
and says nothing of where their files lie.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from meatus.service.cases import Case, case_name

HIDDEN = "<hidden>"

# What still looks like a path or a scan once the known names are hidden.
PATH_LIKE = re.compile(
    r"'[^']*/[^']*'|\"[^\"]*/[^\"]*\""
    rf"|(?:{HIDDEN}|(?<![\w<])(?:~|\.{{1,2}})?)/[^\s'\"]+"
    r"|\S+\.(?:nii(?:\.gz)?|m[hg][adzh]|n?hdr|img|nrrd|tiff?|dcm)(?!\w)",
    re.IGNORECASE,
)

# The folders in "/data/study/scan.nii.gz", "../scan.nii.gz" or "C:\study\scan.nii.gz".
FOLDERS = re.compile(r"(?<![\w\\/<])(?:[A-Za-z]:|~|\.{1,2})?[\\/](?:[^\s\\/:'\"]+[\\/])*")


# What DICOM files are often called, and messages say of slices; no patient's name or number.
COUNTS = {str(number) for number in range(1000)}


def files_of(source: Path) -> list[Path]:
    """The files and folders whose names a log must hide: all below a folder, or in an archive."""
    if source.is_dir():
        return list(source.glob("**/*"))
    try:
        with zipfile.ZipFile(source) as archive:
            return [source, *map(Path, archive.namelist())]
    except Exception:  # no archive, or a damaged one, of which nothing can be told
        return [source]


def nothing_hidden(text: str) -> str:
    return text


def name_hider(roots: Iterable[Path], files: Iterable[Path]) -> Callable[[str], str]:
    """A function that takes the paths and names of ``files``, and ``roots``, out of a text.

    The own name of a root is not taken alone: it may be a word such as "input".
    """
    spelled = {form for root in roots for form in _paths(root)}
    for file in files:
        spelled |= {*_paths(file), file.name, file.stem, case_name(file) or ""} - COUNTS
    spelled |= {repr(form)[1:-1] for form in spelled}  # as the system's errors quote them
    longest_first = sorted(spelled - {"", ".", "..", "/"}, key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def hide(text: str) -> str:
        return PATH_LIKE.sub(HIDDEN, known.sub(HIDDEN, text))

    return hide


def _paths(path: Path) -> set[str]:
    return {str(path), str(path.absolute()), str(path.resolve())}


def without_paths(line: str, case: Case) -> str:
    """``line`` for the report: nothing in it tells where the case's files lie."""
    if case.series is not None:
        for entry in {plane.entry for plane in case.series.planes}:
            line = line.replace(str(entry), "an image of the series")
    for path, name in ((case.scan, "the scan"), (case.result, "the result")):
        for spelling in (str(path.absolute()), str(path)):
            line = line.replace(spelling, name)
    for path in (case.scan, case.result):
        line = line.replace(f"{path.parent.absolute()}{os.sep}", "")
    return without_folders(line)


def without_folders(line: str) -> str:
    """File names in ``line`` stay, and what they lie in goes."""
    return FOLDERS.sub("", line)
