"""Runs ``predict`` as a user does, whole processes, and measures their seconds and memory."""

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
from dataclasses import dataclass, field
from pathlib import Path

from meatus.errors import InferenceError, UsageError
from meatus.grand_challenge import is_layout
from meatus.service.cases import find_cases
from meatus_evaluation.benchmark.memory import GpuMeter, TreeMeter, open_gpu_meter
from meatus_evaluation.scoring.score import score_folders

SAMPLE_EVERY_S = 0.02
CONTAINER_TOOLS = ("docker", "podman")
GPU_OPTIONS = {"docker": ("--gpus", "all"), "podman": ("--device", "nvidia.com/gpu=all")}

NOTHING_STARTED = (2, 125, 126, 127)  # exit codes: the tool's own, then docker's and podman's
ERROR_LINE = re.compile(r"(error|docker): ", re.IGNORECASE)


@dataclass(frozen=True)
class Usage:
    """Of one run over all cases, after a warm-up run over the first."""

    cases: int
    warm_up_s: float  # the first run of all, one case: reads the program from disk, fills caches
    seconds: float  # the whole process, its start included
    rss_mib: float | None  # peak of the process tree in both runs; None where it was not seen
    gpu_mib: float | None  # likewise; None without a GPU
    gpu_note: str
    dice: dict[str, float] = field(default_factory=dict)  # by structure, where there is a truth

    @property
    def seconds_per_case(self) -> float:
        return self.seconds / self.cases


def measure_batch(source: Path, batch: Batch, truth: Path | None = None) -> Usage:
    """Run ``batch`` on the first case of ``source`` to warm up, then on all of it.

    Its label maps are scored against those of the folder ``truth``. Raises ``InferenceError`` where
    there is no case, the batch fails, or maps and truth cannot be compared.
    """
    source = source.absolute()
    cases = 1 if is_layout(source) else len(find_cases(source, source).cases)
    rss = TreeMeter()
    with open_gpu_meter() as gpu, tempfile.TemporaryDirectory() as folder:
        labels = Path(folder)
        warm_up_s = _warm_up(source, batch, rss, gpu)
        seconds = run_batch(batch, source, labels, rss, gpu)
        dice = mean_dice(labels, truth) if truth else {}
        return Usage(cases, warm_up_s, seconds, rss.peak_mib, gpu.peak_mib, gpu.note, dice)


def mean_dice(labels: Path, truth: Path) -> dict[str, float]:
    """Each structure's Dice, the mean over the cases that have it; a missing map counts as empty.

    Raises ``InferenceError`` where the two folders cannot be compared.
    """
    found: dict[str, list[float]] = {}
    for case in score_folders(labels, truth, processes=1):
        for name, dice in case.dice.items():
            found.setdefault(name, []).append(dice)
    return {name: statistics.mean(dices) for name, dices in found.items()}


def _warm_up(source: Path, batch: Batch, rss: TreeMeter, gpu: GpuMeter) -> float:
    """Seconds of a whole run over the first case alone."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as labels:
        first = source
        if not is_layout(source):
            shutil.copy(find_cases(source, source).cases[0].scan, folder)
            first = Path(folder)
        return run_batch(batch, first, Path(labels), rss, gpu)


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


def run_batch(batch: Batch, source: Path, out: Path, rss: TreeMeter, gpu: GpuMeter) -> float:
    """Label ``source`` into ``out`` from start to end of the process; wall-clock seconds.

    Raises ``BatchFailedError``, or ``UsageError`` where nothing was started, with the run's own
    last line.
    """
    command = _container(batch, source, out, gpu) if batch.image else _process(batch, source, out)
    return run_watched(command, rss, gpu)[0]


def run_watched(command: Command, rss: TreeMeter, gpu: GpuMeter) -> tuple[float, str]:
    """Wall-clock seconds of ``command``, and what it printed; the meters see its processes.

    Raises ``BatchFailedError``, or ``UsageError`` where nothing was started.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
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
        output.seek(0)
        return seconds, output.read().decode(errors="replace")


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
    if process.poll() is None:
        process.terminate()
    if command.container and process.returncode != 0:  # its tool may have ended before it
        tool, name = command.container
        subprocess.run([tool, "rm", "--force", name], capture_output=True, check=False)
    process.wait()


def _last_line(errors: bytes, code: int) -> str:
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if ERROR_LINE.match(line)] or lines
    said = ERROR_LINE.sub("", told[-1], count=1) if told else "it said nothing"
    return f"the batch ended with exit code {code}: {said}"
