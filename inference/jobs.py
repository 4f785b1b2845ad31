"""Many cases in one run: the next scan is read and the last result written meanwhile."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from inference.cases import Case
from inference.errors import InferenceError
from inference.images import read_grid, read_scan
from inference.volumes import Labels, Scan

OnError = Literal["fail", "empty"]


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: Case
    seconds: float  # from the end of the case before to this one's result
    error: str | None = None  # one line; None where all went well
    details: str = ""  # the traceback behind an error
    warnings: tuple[str, ...] = ()  # what had to be assumed or repaired to read the scan


@dataclass(frozen=True)
class Attempt:
    """A case before its result is written."""

    case: Case
    started: float
    warnings: tuple[str, ...] = ()
    labels: Labels | None = None
    failed: Exception | None = None


def run_cases(
    cases: list[Case],
    segment: Callable[[Scan], Labels],
    write: Callable[[Labels, Path], None],
    release: Callable[[], None],
    on_error: OnError,
) -> Iterator[Outcome]:
    """Segment ``cases`` in order and yield an outcome for each once its result is on disk.

    At most two scans and two results are in memory. A case that fails does not stop the
    others; with ``empty`` it gets an all-background map where its grid is known. ``release``
    lets the engines give memory back between cases.
    """
    if not cases:
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        scans = _read_ahead(cases, reader)
        written: Future[Outcome] | None = None
        for case, scan in zip(cases, scans, strict=True):
            attempt = _try_segment(case, scan, segment)
            # If memory cannot be given back, the next case that lacks it says so.
            with suppress(Exception):
                release()
            if written is not None:
                yield written.result()
            written = writer.submit(_finish, attempt, write, on_error)
        if written is not None:
            yield written.result()


def _read_ahead(cases: list[Case], reader: ThreadPoolExecutor) -> Iterator[Future[Scan]]:
    """The scans in order, each of them read while the one before is in use."""
    waiting = reader.submit(read_scan, cases[0].scan)
    for following in cases[1:]:
        waiting.exception()  # wait: never more than one scan ahead
        ready, waiting = waiting, reader.submit(read_scan, following.scan)
        yield ready
    yield waiting


def _try_segment(case: Case, scan: Future[Scan], segment: Callable[[Scan], Labels]) -> Attempt:
    started = time.monotonic()
    warnings: tuple[str, ...] = ()
    try:
        warnings = scan.result().warnings
        return Attempt(case, started, warnings, labels=segment(scan.result()))
    except Exception as error:  # whatever one case does, the others go on
        return Attempt(case, started, warnings, failed=error)


def _finish(attempt: Attempt, write: Callable[[Labels, Path], None], on_error: OnError) -> Outcome:
    case, failed = attempt.case, attempt.failed
    try:
        if attempt.labels is not None:
            write(attempt.labels, case.result)
        elif on_error == "empty":
            write(_empty(case), case.result)
    except Exception as error:
        failed = failed or error
    seconds = time.monotonic() - attempt.started
    if failed is None:
        return Outcome(case, seconds, warnings=attempt.warnings)
    details = "".join(traceback.format_exception(failed))
    return Outcome(case, seconds, one_line(failed), details, attempt.warnings)


def _empty(case: Case) -> Labels:
    """An all-background map on the grid that the scan's header states."""
    geometry, header = read_grid(case.scan)
    return Labels(np.zeros(geometry.shape, dtype=np.uint8), geometry, header)


def one_line(error: Exception) -> str:
    """What a user reads of an error."""
    text = " ".join(str(error).split())
    if isinstance(error, InferenceError):
        return text
    return f"{type(error).__name__}: {text or 'no reason given'} (see --debug)"
