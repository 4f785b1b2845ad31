"""The cases that the viewer shows: scans, label maps, what is flagged, what is corrected."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from meatus import __version__
from meatus.atomic import write_whole
from meatus.errors import InferenceError, OutputError, UsageError
from meatus.geometry import same_grid
from meatus.io.images import label_bytes, read_scan
from meatus.report.case_files import read_case
from meatus.report.measure import measure
from meatus.service.batch import scan_of
from meatus.service.cases import Case
from meatus.service.results import result_stem
from meatus.structures import Structure
from meatus.viewer.volumes import painted_labels
from meatus.volumes import Labels, Scan

CORRECTED = "_corrected"  # of a label map's name, and of who corrected it when


@dataclass(frozen=True)
class Correction:
    """Who corrected a label map, when, and what of."""

    case: str
    corrected_by: str
    corrected_at: str  # UTC, ISO 8601
    corrected_from: str  # the file that was corrected, by name
    voxels_changed: int  # beside the program's own label map
    sha256: str  # of the corrected file
    meatus: str = __version__


_CORRECTION = TypeAdapter(Correction)


@dataclass(frozen=True)
class Entry:
    """A line of the queue."""

    case: str
    flags: tuple[str, ...]
    error: str | None  # why it has no labels
    corrected: Correction | None


@dataclass
class Results:
    """Known cases by name; nothing else can be asked for, so that no name leads elsewhere."""

    report: Path | None
    author: str
    cases: dict[str, Case] = field(default_factory=dict)
    told: dict[str, tuple[tuple[str, ...], str | None]] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, cases: Sequence[Case]) -> None:
        """Take up ``cases``; what was known of those of the same name is forgotten."""
        with self.turn:
            for case in cases:
                self.cases[case.name] = case
                self.told.pop(case.name, None)

    def queue(self) -> list[Entry]:
        """Failed and flagged cases first, then the others; those that are corrected last."""

        def order(entry: Entry) -> tuple[bool, bool, int, str]:
            done = entry.corrected is not None
            return (done, entry.error is None, -len(entry.flags), entry.case)

        return sorted(map(self._entry, list(self.cases.values())), key=order)

    def scan(self, name: str) -> Scan:
        """Raises ``UsageError`` for a case that is not known, ``ScanError`` for a bad scan."""
        return scan_of(self._case(name), None)

    def labels(self, name: str) -> Labels:
        """The corrected labels of a case, else the program's, else none on the scan's grid."""
        case = self._case(name)
        return _read_labels(corrected_file(case)) or self._made(case)

    def correct(self, name: str, content: bytes) -> Entry:
        """Write what was painted as ``<case>_corrected.nii.gz``, and beside it who did it when.

        Raises ``UsageError`` where that is no label map of the case, ``OutputError`` where it
        cannot be written.
        """
        case = self._case(name)
        made = self._made(case)
        labels = painted_labels(content, made)
        file = corrected_file(case)
        data = label_bytes(labels, file.name)
        correction = Correction(
            name,
            self.author,
            datetime.now(UTC).isoformat(timespec="seconds"),
            case.result.name,
            int(np.count_nonzero(labels.voxels != made.voxels)),
            hashlib.sha256(data).hexdigest(),
        )
        with self.turn:
            write_whole(file, data)
            told = json.dumps(asdict(correction), indent=2)
            write_whole(correction_file(case), f"{told}\n".encode())
        return self._entry(case)

    def _case(self, name: str) -> Case:
        case = self.cases.get(name)
        if case is None:
            raise UsageError(f"there is no case {name}. Load the page again.")
        return case

    def _made(self, case: Case) -> Labels:
        found = _read_labels(case.result)
        if found is not None:
            return found
        scan = scan_of(case, None)
        return Labels(np.zeros(scan.geometry.shape, np.uint8), scan.geometry, scan.header)

    def _entry(self, case: Case) -> Entry:
        if case.name not in self.told:
            self.told[case.name] = self._judged(case)
        flags, error = self.told[case.name]
        return Entry(case.name, flags, error, read_correction(case))

    def _judged(self, case: Case) -> tuple[tuple[str, ...], str | None]:
        """Flags and error as the report has them, else as the label map itself gives them."""
        try:
            if self.report is not None:
                told = read_case(self.report, case.name)
                return (told.measures.flags if told.measures else ()), told.error
        except OutputError:
            pass  # not in the report, which may be of another run
        try:
            labels = _read_labels(case.result)
        except InferenceError as error:
            return (), str(error)
        if labels is None:
            return (), "not labelled yet"
        return measure(labels).flags, None


def corrected_file(case: Case) -> Path:
    return Path(f"{result_stem(case.result)}{CORRECTED}.nii.gz")


def correction_file(case: Case) -> Path:
    return Path(f"{result_stem(case.result)}{CORRECTED}.json")


def read_correction(case: Case) -> Correction | None:
    """Who corrected the case; None where nobody did, or that is not told as it should be."""
    try:
        return _CORRECTION.validate_json(correction_file(case).read_bytes())
    except (OSError, ValidationError):
        return None


def check_grid(scan: Scan, labels: Labels, name: str) -> None:
    """Raises ``UsageError`` where the label map does not lie on the scan's grid."""
    if not same_grid(scan.geometry, labels.geometry):
        raise UsageError(
            f"the label map of {name} does not lie on its scan's grid. Label the scan again, or "
            "name the folder of its scans with --scans."
        )


def _read_labels(file: Path) -> Labels | None:
    """The label map of ``file``; None where there is none. Raises ``ScanError``, ``UsageError``."""
    if not file.is_file():
        return None
    found = read_scan(file)
    numbers = found.voxels.astype(np.uint8)
    if not np.array_equal(numbers, found.voxels) or int(numbers.max()) >= len(Structure):
        raise UsageError(f"{file}: no label map of ours; expected whole numbers from 0 to 3.")
    return Labels(numbers, found.geometry, found.header)
