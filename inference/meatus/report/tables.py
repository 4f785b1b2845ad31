"""The tables, the index and the PDF of a report, made anew from the files of its cases."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from meatus.errors import OutputError
from meatus.report.case_files import CASES, read_cases
from meatus.report.case_table import JSON_NAME, write_report
from meatus.report.summary import Summary

LOCK = ".lock"
PDF = "report.pdf"

# While cases are labelled: the share of the time that tables may take, and how old an index,
# which holds pictures, may be.
SHARE = 0.05
INDEX_EVERY_S = 10.0


@dataclass(frozen=True)
class Thumbnail:
    made_of: int  # the time of the picture, ns
    address: str  # a data URL


@dataclass
class Tables:
    """Keeps the tables of ``folder`` near its cases, by whatever number of runs.

    Whoever finishes last has seen the files of all: tables are made by one process at a time.
    """

    folder: Path
    pdf: bool = False
    thumbnails: dict[str, Thumbnail] = field(default_factory=dict)  # by case
    due: float = 0.0
    index_due: float = field(default_factory=lambda: time.monotonic() + INDEX_EVERY_S)

    def start(self) -> None:
        """See that ``folder`` can be written. Raises ``OutputError``."""
        with _alone(self.folder, wait=True):
            if not (self.folder / JSON_NAME).exists():
                write_report(self.folder, ())

    def refresh(self) -> None:
        """After a case: make what is due, unless another process is at it. ``OutputError``."""
        began = time.monotonic()
        if began < self.due:
            return
        with _alone(self.folder, wait=False) as free:
            if free:
                self._make(index=began >= self.index_due)
        now = time.monotonic()
        self.due = now + (now - began) * (1 / SHARE - 1)

    def finish(self) -> None:
        """Make all of them. Raises ``OutputError``, also where the file of a case is damaged."""
        with _alone(self.folder, wait=True):
            damaged = self._make(index=True)
        if self.pdf:
            from meatus.report.pdf import write_pdf  # what PDF takes is loaded for it alone

            write_pdf(self.folder, list(read_cases(self.folder, [])), self.folder / PDF)
        if damaged:
            more = f" So are {len(damaged) - 1} more." if len(damaged) > 1 else ""
            raise OutputError(f"{damaged[0]}{more}")

    def _make(self, *, index: bool) -> list[OutputError]:
        """The files that could not be read; the tables are made of the others."""
        damaged: list[OutputError] = []
        summary = Summary()
        write_report(self.folder, summary.of(read_cases(self.folder, damaged)))
        if index:
            self._write_index(summary)
            self.index_due = time.monotonic() + INDEX_EVERY_S
        return damaged

    def _write_index(self, summary: Summary) -> None:
        from meatus.report.figures import thumbnail
        from meatus.report.html.page import data_url
        from meatus.report.pages import picture_of, write_index

        shown = summary.most_urgent()
        made: dict[str, Thumbnail] = {}
        for report in shown:
            picture = picture_of(self.folder, report)
            if picture is None:
                continue
            with suppress(OSError):  # another run is just replacing it, or it is damaged
                made_of, kept = picture.stat().st_mtime_ns, self.thumbnails.get(report.case)
                if kept is None or kept.made_of != made_of:
                    kept = Thumbnail(made_of, data_url(thumbnail(picture), "jpeg"))
                made[report.case] = kept
        self.thumbnails = made
        addresses = {case: one.address for case, one in made.items()}
        write_index(self.folder, shown, addresses, summary)


@contextmanager
def _alone(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Whether no other process makes the tables of ``folder`` meanwhile.

    True without more ado where the system, or the folder's disk, knows no locks. Raises
    ``OutputError`` where the folder cannot be written.
    """
    file = folder / CASES / LOCK
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(
            f"{folder}: no report can be written there ({error.strerror}). Name another folder, "
            "or give this user the right to write there."
        ) from error
    try:
        yield _locked(lock, wait)
    finally:
        os.close(lock)


def _locked(lock: int, wait: bool) -> bool:
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
