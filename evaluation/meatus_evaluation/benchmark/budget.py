"""Seconds and memory of ``predict`` against what it may take.

The defaults are what the method we start from took on an RTX A6000: 27 s a case and 5413 MiB of
GPU memory (the second of crossMoDA 2023).
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus.grand_challenge import is_layout
from meatus.service.cases import find_cases
from meatus_evaluation.benchmark.batch import Batch, run_batch
from meatus_evaluation.benchmark.memory import GpuMeter, TreeMeter, open_gpu_meter

Verdict = Literal["kept", "broken", "no budget", "not measured"]


@dataclass(frozen=True)
class Budgets:
    """None: measured and shown, never broken."""

    seconds: float | None = 27.0  # per case
    gpu_mib: float | None = 5413.0
    rss_mib: float | None = None


@dataclass(frozen=True)
class Usage:
    """Of one run over all cases, after a warm-up run over the first."""

    cases: int
    warm_up_s: float  # the first run of all, one case: reads the program from disk, fills caches
    seconds: float  # the whole process, its start included
    rss_mib: float | None  # peak of the process tree in both runs; None where it was not seen
    gpu_mib: float | None  # likewise; None without a GPU
    gpu_note: str

    @property
    def seconds_per_case(self) -> float:
        return self.seconds / self.cases


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    name: str
    measured: float | None
    budget: float | None
    verdict: Verdict
    note: str = ""


def measure_batch(source: Path, batch: Batch) -> Usage:
    """Run ``batch`` on the first case of ``source`` to warm up, then on all of it.

    Raises ``InferenceError`` where there is no case, or the batch fails.
    """
    source = source.absolute()
    cases = 1 if is_layout(source) else len(find_cases(source, source))
    rss = TreeMeter()
    with open_gpu_meter() as gpu:
        warm_up_s = _warm_up(source, batch, rss, gpu)
        seconds = run_batch(batch, source, rss, gpu)
        return Usage(cases, warm_up_s, seconds, rss.peak_mib, gpu.peak_mib, gpu.note)


def check_budgets(usage: Usage, budgets: Budgets, *, require_gpu: bool = False) -> list[Line]:
    """One line per number.

    A budget for resident memory that was not seen is broken; one for GPU memory is so only where
    a GPU is required, as many machines have none.
    """
    rss, gpu = budgets.rss_mib, budgets.gpu_mib
    tree = "process tree" if usage.rss_mib else "its processes cannot be seen from here"
    whole = f"{usage.cases} case{'s' * (usage.cases > 1)}, start of the process included"
    return [
        Line("warm-up, s", usage.warm_up_s, None, "no budget", "one case, first run"),
        _line("per case, s", usage.seconds_per_case, budgets.seconds, whole),
        _line("peak resident memory, MiB", usage.rss_mib, rss, tree, needed=rss is not None),
        _line("peak GPU memory, MiB", usage.gpu_mib, gpu, usage.gpu_note, needed=require_gpu),
    ]


def is_broken(lines: list[Line]) -> bool:
    return any(line.verdict == "broken" for line in lines)


def _line(
    name: str, measured: float | None, budget: float | None, note: str, *, needed: bool = False
) -> Line:
    """``needed``: not to have measured it breaks the budget."""
    verdict: Verdict = "no budget"
    if measured is None:
        verdict = "broken" if needed else "not measured"
    elif budget is not None:
        verdict = "kept" if measured <= budget else "broken"
    return Line(name, measured, budget, verdict, note)


def _warm_up(source: Path, batch: Batch, rss: TreeMeter, gpu: GpuMeter) -> float:
    """Seconds of a whole run over the first case alone."""
    if is_layout(source):
        return run_batch(batch, source, rss, gpu)
    with tempfile.TemporaryDirectory() as folder:
        first = find_cases(source, source)[0].scan
        shutil.copy(first, folder)
        return run_batch(batch, Path(folder), rss, gpu)
