"""Many cases in one run: the next scan is read and the last result written meanwhile."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inference.cases import Case
from inference.errors import InferenceError
from inference.images import read_grid, read_scan, write_labels
from inference.volumes import Labels, Scan

OnError = Literal["fail", "empty"]


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: Case
    seconds: float  # from the end of the case before to this one's result
    error: str | None = None  # one line; None where all went well
    details: str = ""  # the traceback behind an error


def run_cases(
    cases: list[Case],
    segment: Callable[[Scan], Labels],
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
            started = time.monotonic()
            labels, failed = _try_segment(case, scan, segment)
            release()
            if written is not None:
                yield written.result()
            written = writer.submit(_finish, case, labels, failed, on_error, started)
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


def _try_segment(
    case: Case, scan: Future[Scan], segment: Callable[[Scan], Labels]
) -> tuple[Labels | None, Exception | None]:
    try:
        return segment(scan.result()), None
    except Exception as error:  # whatever one case does, the others go on
        return None, error


def _finish(
    case: Case,
    labels: Labels | None,
    failed: Exception | None,
    on_error: OnError,
    started: float,
) -> Outcome:
    try:
        if labels is not None:
            write_labels(labels, case.result)
        elif on_error == "empty":
            write_labels(_empty(case), case.result)
    except Exception as error:
        failed = failed or error
    seconds = time.monotonic() - started
    if failed is None:
        return Outcome(case, seconds)
    return Outcome(case, seconds, _one_line(failed), "".join(traceback.format_exception(failed)))


def _empty(case: Case) -> Labels:
    """An all-background map on the grid that the scan's header states."""
    geometry, header = read_grid(case.scan)
    return Labels(np.zeros(geometry.shape, dtype=np.uint8), geometry, header)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, InferenceError):
        return text
    return f"{type(error).__name__}: {text or 'no reason given'} (see --debug)"
