"""Seconds and memory of ``predict``: of a whole batch against what it may take, and stage by stage.

The defaults of the budgets are what the method we start from took on an RTX A6000: 27 s a case and
5413 MiB of GPU memory (the second of crossMoDA 2023).
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus import read_scan, write_labels
from meatus.ensemble import Model
from meatus.errors import InferenceError, UsageError
from meatus.grand_challenge import is_layout
from meatus.pipeline import segment
from meatus.postprocess import Rules
from meatus.service.cases import find_cases
from meatus.timing import Stopwatch, peak_mib
from meatus_evaluation.benchmark.memory import GpuMeter, TreeMeter, open_gpu_meter

Verdict = Literal["kept", "broken", "no budget", "not measured"]

SAMPLE_EVERY_S = 0.02
CONTAINER_TOOLS = ("docker", "podman")
GPU_OPTIONS = {"docker": ("--gpus", "all"), "podman": ("--device", "nvidia.com/gpu=all")}

NOTHING_STARTED = (2, 125, 126, 127)  # exit codes: the tool's own, then docker's and podman's
ERROR_LINE = re.compile(r"(error|docker): ", re.IGNORECASE)

NETWORK = "network"


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
    cases = 1 if is_layout(source) else len(find_cases(source, source).cases)
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
        first = find_cases(source, source).cases[0].scan
        shutil.copy(first, folder)
        return run_batch(batch, Path(folder), rss, gpu)


class BatchFailedError(InferenceError):
    """The tool started its work and did not finish it."""


@dataclass(frozen=True)
class Batch:
    """What to run: as a process of this machine's Python, or, with ``image``, in a container."""

    image: str | None = None
    options: tuple[str, ...] = ()  # handed on to ``predict``


@dataclass(frozen=True)
class Command:
    arguments: list[str]
    container: tuple[str, str] | None = None  # the tool and the container's name


def run_batch(batch: Batch, source: Path, rss: TreeMeter, gpu: GpuMeter) -> float:
    """Label ``source`` from start to end of the process; wall-clock seconds.

    Raises ``BatchFailedError``, or ``UsageError`` where nothing was started, with the run's own
    last line.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
        out = Path(folder)
        command = (
            _container(batch, source, out, gpu) if batch.image else _process(batch, source, out)
        )
        started = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            _watch(process, _root_finder(command, process), rss, gpu)
            seconds = time.perf_counter() - started
        finally:
            _end(process, command)
        if process.returncode:
            errors.seek(0)
            started_it = process.returncode not in NOTHING_STARTED
            kind = BatchFailedError if started_it else UsageError
            raise kind(_last_line(errors.read(), process.returncode))
    return seconds


def container_tool() -> str:
    """Raises ``UsageError`` where none is installed."""
    found = next((tool for tool in CONTAINER_TOOLS if shutil.which(tool)), None)
    if found is None:
        raise UsageError(
            f"--image needs {' or '.join(CONTAINER_TOOLS)}, and neither is installed. "
            "Install one, or leave --image out to measure this Python."
        )
    return found


def _process(batch: Batch, source: Path, out: Path) -> Command:
    predict = [sys.executable, "-m", "meatus", "predict", str(source), str(out)]
    return Command([*predict, *batch.options])


def _container(batch: Batch, source: Path, out: Path, gpu: GpuMeter) -> Command:
    """As the challenge starts it, without network, as this user; with a GPU where there is one."""
    tool, name = container_tool(), f"budget-{uuid.uuid4().hex}"
    inside = "/input" if source.is_dir() else f"/input/{source.name}"
    run = [tool, "run", "--rm", "--name", name, "--network", "none"]
    run += ["--user", f"{os.getuid()}:{os.getgid()}", *(GPU_OPTIONS[tool] if gpu.devices else ())]
    run += ["-v", f"{source}:{inside}:ro", "-v", f"{out}:/output", str(batch.image)]
    return Command([*run, "predict", "/input", "/output", *batch.options], (tool, name))


def _watch(
    process: subprocess.Popen[bytes], root: Callable[[], int | None], rss: TreeMeter, gpu: GpuMeter
) -> None:
    while process.poll() is None:
        top = root()
        gpu.sample(rss.sample(top) if top else ())
        with suppress(subprocess.TimeoutExpired):
            process.wait(SAMPLE_EVERY_S)


def _root_finder(command: Command, process: subprocess.Popen[bytes]) -> Callable[[], int | None]:
    """Where the run's tree begins: a container's is none of our children."""
    if command.container is None:
        return lambda: process.pid
    tool, name = command.container
    found: list[int] = []

    def find() -> int | None:
        if not found:
            asked = subprocess.run(
                [tool, "inspect", "--format", "{{.State.Pid}}", name],
                capture_output=True,
                text=True,
                check=False,
            )
            number = asked.stdout.strip()
            if number.isdecimal() and int(number):
                found.append(int(number))
        return found[0] if found else None

    return find


def _end(process: subprocess.Popen[bytes], command: Command) -> None:
    """Leave nothing running, also when this run is interrupted."""
    if process.poll() is not None:
        return
    process.terminate()
    if command.container:
        tool, name = command.container
        subprocess.run([tool, "rm", "--force", name], capture_output=True, check=False)
    process.wait()


def _last_line(errors: bytes, code: int) -> str:
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if ERROR_LINE.match(line)] or lines
    said = ERROR_LINE.sub("", told[-1], count=1) if told else "it said nothing"
    return f"the batch ended with exit code {code}: {said}"


@dataclass(frozen=True)
class StageTimes:
    """Medians in seconds over the repeats, from file to file, after one warm-up."""

    seconds: dict[str, float]
    peak_mib: float | None  # resident memory of the whole process so far

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def other(self) -> float:
        """All stages but the network."""
        return self.total - self.seconds[NETWORK]


def time_stages(scan_file: Path, model: Model, repeats: int) -> StageTimes:
    """Segment ``scan_file`` ``repeats`` times, one stage after the other, and time each."""
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):  # the first one compiles the network for its window
            runs.append(_run(scan_file, model, Path(folder) / "result.nii.gz"))
    medians = {
        stage: statistics.median(run[stage] for run in runs[1:] or runs) for stage in runs[0]
    }
    return StageTimes(medians, peak_mib())


def _run(scan_file: Path, model: Model, out: Path) -> dict[str, float]:
    watch = Stopwatch()
    with watch("read"):
        scan = read_scan(scan_file)
    result = segment(scan, model, Rules())
    with watch("write"):
        write_labels(result.labels, out)
    return watch.seconds | result.seconds
