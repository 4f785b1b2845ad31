"""What a user sees of a run: lines to stdout, one line for each error to stderr, a bar.

For programs each line is a JSON object instead; with ``quiet`` there are none but the errors.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from meatus.errors import InferenceError, printable
from meatus.io.stderr import stderr_to
from meatus.report.phrases import found_line
from meatus.service.batch import Outcome, one_line
from meatus.service.cases import Case, Skipped, skipped_words
from meatus.service.path_scrubbing import nothing_hidden
from meatus.service.steady_streams import like_stderr

SOME_FAILED, NOTHING_STARTED = 1, 2

# Libraries' own words on stderr: left there, put among the log lines, or nowhere.
Chatter = Literal["stderr", "stdout", "nowhere"]

Form = Literal["lines", "json", "quiet"]  # of what goes to stdout

SHOW_CURSOR = "\x1b[?25h"
PATIENCE_S = 1.0  # with a thread that cannot finish its line, as its reader is gone
LONGEST_TITLE = 40  # of a case, for which its line is aligned with the others
WIDTH = 100  # of a table, where stdout is no terminal


@dataclass(frozen=True)
class Console:
    """Where lines go. One line is written at a time, and none after the last word."""

    errors: TextIO
    hide: Callable[[str], str] = nothing_hidden
    form: Form = "lines"
    turn: threading.RLock = field(default_factory=threading.RLock)

    def say(self, line: str, *, of: str = "") -> None:
        self.event("note", f"{of}{self.hide(line)}", text=f"{of}{self.hide(line)}")

    def event(
        self, kind: str, line: str, show: Callable[[str], None] | None = None, **entries: Any
    ) -> None:
        """A ``line`` for people, by ``show`` where given; its ``entries`` for programs."""
        if self.form == "lines":
            (show or self._print)(line)
        elif self.form == "json":
            self._print(json.dumps({"event": kind} | entries))

    def fail(self, text: str, *, of: str = "", details: str = "") -> None:
        """One line on stderr, after the ``details`` that were asked for."""
        with self.turn:
            if details:
                print(details, file=sys.stderr, flush=True)
            line = printable(f"error: {of}{self.hide(text)}")
            print(line, file=self.errors, flush=True)
        if self.form == "json" and not of:  # a case's own error stands in the case's event
            self.event("error", "", text=self.hide(text))

    @contextmanager
    def errors_end_it(self, debug: bool) -> Iterator[None]:
        """End with one line and an exit code instead of a traceback."""
        try:
            yield
        except Exception as error:
            self.fail(one_line(error), details=traceback.format_exc() if debug else "")
            sys.exit(NOTHING_STARTED if isinstance(error, InferenceError) else SOME_FAILED)

    def last_word(self, text: str) -> None:
        """Say why the run ends; the caller ends it, and no other thread speaks any more."""
        self.turn.acquire(timeout=PATIENCE_S)
        if self.has_bar:
            print(SHOW_CURSOR, end="", flush=True)  # the bar hid it
        self.fail(text)

    @contextmanager
    def told_cases(self, titles: dict[Case, str], debug: bool) -> Iterator[ToldCases]:
        """To tell what becomes of each of the ``titles``, in the order in which they end."""
        with self._progress(len(titles)) as advance:
            yield ToldCases(self, titles, advance, debug)

    @property
    def has_bar(self) -> bool:
        return self.form == "lines" and sys.stdout.isatty()

    def _print(self, line: str) -> None:
        with self.turn:
            print(printable(line), flush=True)

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[str], None]]:
        """A function that takes a case's line: a bar with time left on a terminal, else lines."""
        if not self.has_bar:
            yield self._print
            return
        left = TimeRemainingColumn()
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("time left"), left)
        with Progress(*columns, console=Terminal()) as bar:
            task = bar.add_task("cases", total=total)

            def advance(line: str) -> None:
                bar.console.print(printable(line), highlight=False, markup=False)
                bar.advance(task)

            yield advance


@dataclass
class ToldCases:
    """Called with the outcome of a case, tells it; counts."""

    console: Console
    titles: dict[Case, str]
    advance: Callable[[str], None]
    debug: bool
    ended: int = 0
    failed: int = 0
    unreported: bool = False
    checks: dict[str, str] = field(default_factory=dict)  # what to look at twice, by title

    def __call__(self, outcome: Outcome) -> None:
        title, hide = self.titles[outcome.case], self.console.hide
        self.ended += 1
        for warning in outcome.warnings:
            line = f"{title}: warning: {hide(warning)}"
            self.console.event("warning", line, case=title, text=hide(warning))
        error = None if outcome.error is None else hide(outcome.error)
        entries = self._entries(outcome, title, error)
        if error is None:
            found = found_line(outcome.measures) if outcome.measures else "done"
            self._told(title, f"{found}  {outcome.seconds:.1f} s", entries)
            if outcome.measures and outcome.measures.flags:
                self.checks[title] = "; ".join(outcome.measures.flags)
            return
        self.failed += 1
        self.checks[title] = f"failed: {error}"
        self._told(title, "failed", entries)
        details = outcome.details if self.debug else ""
        self.console.fail(outcome.error or "", of=f"{title}: ", details=details)

    def close(self, finish: Callable[[], None], skipped: Sequence[Skipped] = ()) -> None:
        """``finish`` the report; what to look at twice, and why; what was left out; how many done.

        A report that cannot be finished costs no label map, and is told as an error.
        """
        try:
            finish()
        except Exception as error:
            self.unreported = True
            details = traceback.format_exc() if self.debug else ""
            self.console.fail(f"the report is not whole: {one_line(error)}", details=details)
        total, done = len(self.titles), self.ended - self.failed
        for line in _checks_table(self.checks) if self.console.form == "lines" else ():
            self.console.event("table", line)
        text = f"{done} of {total} cases done" + f", {self.failed} failed" * bool(self.failed)
        if skipped:
            text += f", {skipped_words(skipped, named=self.console.hide is nothing_hidden)}"
        self.console.event(
            "end", text, done=done, failed=self.failed, left_out=len(skipped), check=self.checks
        )

    def _told(self, title: str, text: str, entries: dict[str, Any]) -> None:
        width = min(max(map(len, self.titles.values())), LONGEST_TITLE)
        line = f"[{self.ended}/{len(self.titles)}] {title:{width}}  {text}"
        self.console.event("case", line, self.advance, **entries)

    def _entries(self, outcome: Outcome, title: str, error: str | None) -> dict[str, Any]:
        """What programs are told of a case; volumes in mm3, by side of the patient."""
        about: dict[str, Any] = {
            "case": title, "number": self.ended, "of": len(self.titles),
            "status": "failed" if error else "done", "seconds": round(outcome.seconds, 3),
        }  # fmt: skip
        if error is not None:
            return about | {"error": error}
        found = outcome.measures
        if found is None:
            return about
        volumes = {side: vars(getattr(found, side)) for side in ("right", "left", "total")}
        return about | {
            "tumour_side": found.tumour_side, "volumes": volumes,
            "extra_meatal_diameter_mm": found.extra_meatal_diameter_mm,
            "cochleas": found.cochleas, "flags": list(found.flags),
        }  # fmt: skip


def _checks_table(checks: dict[str, str]) -> list[str]:
    """Lines of a table; none where there is nothing to look at."""
    if not checks:
        return []
    table = Table("look at", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, why in checks.items():
        table.add_row(printable(title), printable(why))
    text = io.StringIO()
    width = Terminal().width if sys.stdout.isatty() else WIDTH
    Terminal(file=text, width=width, markup=False, emoji=False, highlight=False).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


@contextmanager
def open_console(
    chatter: Chatter, hide: Callable[[str], str], form: Form = "lines"
) -> Iterator[Console]:
    """A console whose errors go to the process's stderr, whoever redirects that meanwhile.

    ``chatter`` says where everything else goes that is written to stderr.
    """
    if not _is_the_process_stderr(sys.stderr):
        yield Console(sys.stderr, hide, form)
        return
    with stderr_to(chatter) as kept, open(kept, "w", closefd=False) as errors:
        yield Console(like_stderr(errors), hide, form)


def _is_the_process_stderr(stream: TextIO) -> bool:
    """Not so where tests or another program capture what is written."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
