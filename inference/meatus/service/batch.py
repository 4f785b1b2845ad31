"""Many cases in one run: the next scan is read and the last result written meanwhile."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from meatus.errors import InferenceError, ScanError
from meatus.geometry import Geometry
from meatus.io.images import read_grid, read_scan
from meatus.report.measure import Measures
from meatus.service.cases import Case
from meatus.timing import Stopwatch
from meatus.volumes import Labels, Scan, Segmented

OnError = Literal["fail", "empty"]
Reading = tuple[Scan, dict[str, float]]  # and the seconds that it took

# Puts a case's result on disk; ``Labels`` alone are an empty map that stands for a failed case.
Write = Callable[[Case, Segmented | Labels], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: Case
    seconds: float  # from the end of the case before to this one's result
    error: str | None = None  # one line; None where all went well
    details: str = ""  # the traceback behind an error
    warnings: tuple[str, ...] = ()  # what had to be assumed or repaired to read the scan
    stages: dict[str, float] = field(default_factory=dict)  # seconds of each
    result: Segmented | None = None
    measures: Measures | None = None


# What was measured of an outcome, once it is reported; gets the scan where that could be read.
Record = Callable[[Outcome, Scan | None], Measures | None]


@dataclass
class Attempt:
    """One case while it is worked on; its result is put in where there is one."""

    case: Case
    reading: Future[Reading]
    started: float = field(default_factory=time.monotonic)
    warnings: tuple[str, ...] = ()
    scan: Scan | None = None
    result: Segmented | None = None
    failed: Exception | None = None
    stages: dict[str, float] = field(default_factory=dict)

    def read(self) -> Scan:
        """The case's scan, once it is read; whatever was wrong with it is raised here."""
        self.scan, self.stages = self.reading.result()
        self.warnings = self.scan.warnings
        return self.scan

    def keep(self, found: Segmented, *, probabilities: bool = False) -> None:
        """The ``probabilities`` only where they are asked for: they take most memory."""
        self.result = found if probabilities else replace(found, probabilities=None)

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Keep what the block raises: whatever one case does, the others go on."""
        try:
            yield
        except Exception as error:
            self.failed = error
            if isinstance(error, ScanError) and self.scan is not None:
                self.failed = ScanError(f"{self.case.scan}: {error}")  # it knows the voxels alone
                self.failed.__cause__ = error


def attempts(
    cases: list[Case],
    write: Write,
    on_error: OnError,
    tell: Callable[[Outcome], None],
    record: Record = lambda _outcome, _scan: None,
    scratch: Path | None = None,
) -> Iterator[Attempt]:
    """Each of ``cases`` in order, to put its result in; that is written in the background.

    At most two scans and two results are in memory. A case that fails does not stop the
    others; with ``empty`` it gets an all-background map where its grid is known. ``tell`` gets
    each outcome once its result is on disk. ``record`` gets it before, with the scan where that
    could be read, to report on it in the background. Files of archives are unpacked in ``scratch``.
    """
    if not cases:
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        written: Future[Outcome] | None = None
        for case, reading in zip(cases, _read_ahead(cases, reader, scratch), strict=True):
            attempt = Attempt(case, reading)
            yield attempt
            if written is not None:
                tell(written.result())
            written = writer.submit(_finish, attempt, write, on_error, record)
        if written is not None:
            tell(written.result())


def _read_ahead(
    cases: list[Case], reader: ThreadPoolExecutor, scratch: Path | None
) -> Iterator[Future[Reading]]:
    """The scans in order, each of them read while the one before is in use."""
    waiting = reader.submit(_read, cases[0], scratch)
    for following in cases[1:]:
        waiting.exception()  # wait: never more than one scan ahead
        ready, waiting = waiting, reader.submit(_read, following, scratch)
        yield ready
    yield waiting


def _read(case: Case, scratch: Path | None) -> Reading:
    watch = Stopwatch()
    with watch("read"):
        scan = scan_of(case, scratch)
    return scan, watch.seconds


def scan_of(case: Case, scratch: Path | None) -> Scan:
    if case.refused:
        raise ScanError(f"{case.scan}: {case.refused}")
    if case.series is None:
        return read_scan(case.scan)
    from meatus.dicom.series import read_series

    return read_series(case.series, scratch)


def _finish(
    attempt: Attempt,
    write: Write,
    on_error: OnError,
    record: Record,
) -> Outcome:
    case, failed, result = attempt.case, attempt.failed, attempt.result
    watch = Stopwatch()
    try:
        with watch("write"):
            if result is not None:
                write(case, result)
            elif on_error == "empty":
                write(case, empty_map(case))
    except Exception as error:
        failed = failed or error
    outcome = Outcome(
        case,
        time.monotonic() - attempt.started,
        warnings=attempt.warnings,
        stages=attempt.stages | (result.seconds if result else {}) | watch.seconds,
        result=result,
    )
    if failed is not None:
        outcome = _failed(outcome, failed, one_line(failed))
    try:
        outcome = replace(outcome, measures=record(outcome, attempt.scan))
    except Exception as error:
        if failed is None:
            outcome = _failed(outcome, error, f"labelled, but not reported: {one_line(error)}")
    return outcome


def _failed(outcome: Outcome, error: Exception, line: str) -> Outcome:
    details = "".join(traceback.format_exception(error))
    return replace(outcome, error=line, details=details)


def empty_map(case: Case) -> Labels:
    """An all-background map on the grid that the scan's header states."""
    geometry, header = _grid_of(case)
    return Labels(np.zeros(geometry.shape, dtype=np.uint8), geometry, header)


def _grid_of(case: Case) -> tuple[Geometry, bytes | None]:
    if case.series is None:
        return read_grid(case.scan)
    from meatus.dicom.stacks import place

    return place(case.series).geometry, None


def one_line(error: Exception) -> str:
    """What a user reads of an error."""
    text = " ".join(str(error).split())
    if isinstance(error, InferenceError):
        return text
    return f"{type(error).__name__}: {text or 'no reason given'} (see --debug)"
