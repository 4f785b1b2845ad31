"""One run of ``predict`` over a batch of scans: a whole process, or a whole container."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meatus.errors import InferenceError, UsageError
from meatus_evaluation.benchmark.memory import GpuMeter, TreeMeter

SAMPLE_EVERY_S = 0.02
CONTAINER_TOOLS = ("docker", "podman")
GPU_OPTIONS = {"docker": ("--gpus", "all"), "podman": ("--device", "nvidia.com/gpu=all")}

NOTHING_STARTED = (2, 125, 126, 127)  # exit codes: the tool's own, then docker's and podman's
ERROR_LINE = re.compile(r"(error|docker): ", re.IGNORECASE)


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
