"""Scans that are dragged into the page: kept beside the results, labelled one after the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from meatus.ensemble import Model
from meatus.errors import InferenceError, UsageError
from meatus.io.images import SCAN_SUFFIXES
from meatus.report.tables import Tables
from meatus.service.batch import Outcome, one_line
from meatus.service.cases import Case
from meatus.service.inputs import ARCHIVE, find_inputs
from meatus.service.labelling import attempts_at, load, method_of
from meatus.service.output_folder import OutputFolder
from meatus.service.request import Request
from meatus.service.results import kinds_of
from meatus.viewer.results import Results

SCANS = "scans"  # the folder of them, in that of the results
LONGEST_NAME = 200  # letters of a file's name
MOST = 1000  # messages that are kept

State = Literal["waiting", "loading the network", "labelling", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a scan is that was dragged in."""

    file: str
    state: State
    seconds: float  # since it came
    cases: tuple[str, ...] = ()
    error: str = ""


@dataclass
class Incoming:
    """Takes files in; labels what they hold in the background, with one model."""

    request: Request
    weights: Path
    folder: OutputFolder
    results: Results
    seen: dict[str, tuple[Progress, float]] = field(default_factory=dict)  # by file, and since when
    worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    turn: threading.Lock = field(default_factory=threading.Lock)

    def place(self, name: str) -> Path:
        """Where a file of that name is kept. Raises ``UsageError`` where it may not come in."""
        endings = (*SCAN_SUFFIXES, ARCHIVE)
        if not name or Path(name).name != name or "\\" in name or not name.isprintable():
            raise UsageError("a scan's file name holds no folder. Rename the file.")
        if name.startswith(".") or len(name) > LONGEST_NAME or not name.endswith(endings):
            raise UsageError(f"{name}: not a scan's name; expected *{', *'.join(endings)}.")
        place = self.request.output / SCANS / name
        if place.exists():
            raise UsageError(f"{name} is here already. Rename the file to label it again.")
        return place

    def take(self, file: Path) -> Progress:
        """Find the scans in ``file``, which is in its place, and put them in the queue.

        Raises ``InferenceError`` where there is none, or one is of a case that is known; the file
        is then gone.
        """
        try:
            inputs = find_inputs(file, self.request.output, lambda _line: None)
            known = [case.name for case in inputs.cases if case.name in self.results.cases]
            if known:
                raise UsageError(f"there is a case {known[0]} already. Rename the file.")
        except InferenceError:
            file.unlink(missing_ok=True)
            raise
        cases = tuple(case.name for case in inputs.cases)
        self._tell(file.name, "waiting", cases=cases)
        self.worker.submit(self._label, file, inputs.cases)
        return self.seen[file.name][0]

    def progress(self) -> list[Progress]:
        with self.turn:
            return [
                replace(told, seconds=time.monotonic() - since)
                if told.state not in ("done", "failed")
                else told
                for told, since in self.seen.values()
            ]

    def _label(self, file: Path, cases: list[Case]) -> None:
        told: list[Outcome] = []
        try:
            self._tell(file.name, "loading the network")
            model = self._model
            self._tell(file.name, "labelling")
            kinds = {case: kinds_of(case, None) for case in cases}
            label = method_of(self.request, model)
            for attempt in attempts_at(
                self.request, kinds, self.weights, model, self.folder, told.append, self._tables
            ):
                with attempt.failing_alone():
                    attempt.keep(label(attempt.read()))
            errors = [outcome.error for outcome in told if outcome.error]
        except Exception as error:  # whatever it is, the page goes on
            errors = [one_line(error)]
        done = [outcome.case for outcome in told if not outcome.error]
        self.results.add(done)
        if done:
            self._tell(file.name, "done", error="; ".join(errors))
        else:
            file.unlink(missing_ok=True)
            self._tell(file.name, "failed", error="; ".join(errors))

    @cached_property
    def _model(self) -> Model:
        return load(self.request, self.weights, lambda _line: None)

    @cached_property
    def _tables(self) -> Tables | None:
        return Tables(self.request.report) if self.request.report else None

    def _tell(
        self, file: str, state: State, *, cases: tuple[str, ...] = (), error: str = ""
    ) -> None:
        with self.turn:
            told, since = self.seen.pop(file, (Progress(file, state, 0.0), time.monotonic()))
            seconds, named = time.monotonic() - since, cases or told.cases
            self.seen[file] = (Progress(file, state, seconds, named, error), since)
            while len(self.seen) > MOST:
                self.seen.pop(next(iter(self.seen)))
