"""What a user sees of a run: lines to stdout, one line for each error to stderr, a bar."""

from __future__ import annotations

import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from meatus.cases import Case, case_name
from meatus.errors import InferenceError, printable
from meatus.jobs import Outcome, one_line

SOME_FAILED, NOTHING_STARTED = 1, 2

HIDDEN = "<hidden>"

# What still looks like a path or a scan once the known names are hidden.
PATH_LIKE = re.compile(
    r"'[^']*/[^']*'|\"[^\"]*/[^\"]*\""
    rf"|(?:{HIDDEN}|(?<![\w<])(?:~|\.{{1,2}})?)/[^\s'\"]+"
    r"|\S+\.(?:nii(?:\.gz)?|mha|nrrd|tiff?)(?!\w)"
)

# Libraries' own words on stderr: left there, put among the log lines, or nowhere.
Chatter = Literal["stderr", "stdout", "nowhere"]

SHOW_CURSOR = "\x1b[?25h"
PATIENCE_S = 1.0  # with a thread that cannot finish its line, as its reader is gone


def nothing_hidden(text: str) -> str:
    return text


def name_hider(roots: Iterable[Path], files: Iterable[Path]) -> Callable[[str], str]:
    """A function that takes the paths and names of ``files``, and ``roots``, out of a text.

    The own name of a root is not taken alone: it may be a word such as "input".
    """
    spelled = {form for root in roots for form in _paths(root)}
    for file in files:
        spelled |= {*_paths(file), file.name, file.stem, case_name(file) or ""}
    spelled |= {repr(form)[1:-1] for form in spelled}  # as the system's errors quote them
    longest_first = sorted(spelled - {"", ".", "..", "/"}, key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def hide(text: str) -> str:
        return PATH_LIKE.sub(HIDDEN, known.sub(HIDDEN, text))

    return hide


def _paths(path: Path) -> set[str]:
    return {str(path), str(path.absolute()), str(path.resolve())}


@dataclass(frozen=True)
class Console:
    """Where lines go. One line is written at a time, and none after the last word."""

    errors: TextIO
    hide: Callable[[str], str] = nothing_hidden
    turn: threading.RLock = field(default_factory=threading.RLock)

    def say(self, line: str) -> None:
        self._print(self.hide(line))

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

    def report(self, outcomes: Iterable[Outcome], titles: dict[Case, str], debug: bool) -> int:
        """Tell what became of each of the ``titles``; the number that failed."""
        failed, total = 0, len(titles)
        with self._progress(total) as advance:
            for number, outcome in enumerate(outcomes, 1):
                title = titles[outcome.case]
                for warning in outcome.warnings:
                    self._print(f"{title}: warning: {self.hide(warning)}")
                if outcome.error is None:
                    advance(f"[{number}/{total}] {title}: {outcome.seconds:.1f} s")
                    continue
                failed += 1
                advance(f"[{number}/{total}] {title}: failed")
                details = outcome.details if debug else ""
                self.fail(outcome.error, of=f"{title}: ", details=details)
        return failed

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


@contextmanager
def open_console(chatter: Chatter, hide: Callable[[str], str]) -> Iterator[Console]:
    """A console whose errors go to the process's stderr, whoever redirects that meanwhile.

    ``chatter`` says where everything else goes that is written to stderr.
    """
    if not _is_the_process_stderr(sys.stderr):
        yield Console(sys.stderr, hide)
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        if chatter == "stdout":
            os.dup2(1, 2)
        elif chatter == "nowhere":
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        with open(kept, "w", closefd=False) as errors:
            yield Console(errors, hide)
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_the_process_stderr(stream: TextIO) -> bool:
    """Not so where tests or another program capture what is written."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
