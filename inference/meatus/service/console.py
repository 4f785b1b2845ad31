"""What a user sees of a run: lines to stdout, one line for each error to stderr, a bar."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TextIO

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from meatus.errors import InferenceError, printable
from meatus.io.stderr import stderr_to
from meatus.service.batch import Outcome, one_line
from meatus.service.cases import Case
from meatus.service.path_scrubbing import nothing_hidden

SOME_FAILED, NOTHING_STARTED = 1, 2

# Libraries' own words on stderr: left there, put among the log lines, or nowhere.
Chatter = Literal["stderr", "stdout", "nowhere"]

SHOW_CURSOR = "\x1b[?25h"
PATIENCE_S = 1.0  # with a thread that cannot finish its line, as its reader is gone


@dataclass(frozen=True)
class Console:
    """Where lines go. One line is written at a time, and none after the last word."""

    errors: TextIO
    hide: Callable[[str], str] = nothing_hidden
    turn: threading.RLock = field(default_factory=threading.RLock)

    def say(self, line: str, *, of: str = "") -> None:
        self._print(f"{of}{self.hide(line)}")

    def fail(self, text: str, *, of: str = "", details: str = "") -> None:
        """One line on stderr, after the ``details`` that were asked for."""
        with self.turn:
            if details:
                print(details, file=sys.stderr, flush=True)
            line = printable(f"error: {of}{self.hide(text)}")
            print(line, file=self.errors, flush=True)

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
        if sys.stdout.isatty():
            print(SHOW_CURSOR, end="", flush=True)  # the bar hid it
        self.fail(text)

    @contextmanager
    def told_cases(self, titles: dict[Case, str], debug: bool) -> Iterator[ToldCases]:
        """To tell what becomes of each of the ``titles``, in the order in which they end."""
        with self._progress(len(titles)) as advance:
            yield ToldCases(self, titles, advance, debug)

    def _print(self, line: str) -> None:
        with self.turn:
            print(printable(line), flush=True)

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[str], None]]:
        """A function that takes a case's line: a bar with time left on a terminal, else lines."""
        if not sys.stdout.isatty():
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

    def __call__(self, outcome: Outcome) -> None:
        title = self.titles[outcome.case]
        self.ended += 1
        number = f"[{self.ended}/{len(self.titles)}]"
        for warning in outcome.warnings:
            self.console.say(warning, of=f"{title}: warning: ")
        if outcome.error is None:
            self.advance(f"{number} {title}: {outcome.seconds:.1f} s")
            return
        self.failed += 1
        self.advance(f"{number} {title}: failed")
        details = outcome.details if self.debug else ""
        self.console.fail(outcome.error, of=f"{title}: ", details=details)


@contextmanager
def open_console(chatter: Chatter, hide: Callable[[str], str]) -> Iterator[Console]:
    """A console whose errors go to the process's stderr, whoever redirects that meanwhile.

    ``chatter`` says where everything else goes that is written to stderr.
    """
    if not _is_the_process_stderr(sys.stderr):
        yield Console(sys.stderr, hide)
        return
    with stderr_to(chatter) as kept, open(kept, "w", closefd=False) as errors:
        yield Console(errors, hide)


def _is_the_process_stderr(stream: TextIO) -> bool:
    """Not so where tests or another program capture what is written."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
