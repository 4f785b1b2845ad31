"""The most memory that a process and its children had together: resident, and on the GPU.

GPU memory is by NVIDIA's management library (NVML). The driver names processes by their number on
the host. Where none of ours is among them, as inside a container, what counts is how far each
device's memory rose above what was in use before; another program that starts meanwhile is then
counted too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

MIB = 2**20
OF_PROCESSES = "of its processes, by NVML"
ABOVE_BEFORE = "above what the GPU had in use before, by NVML"


@dataclass
class TreeMeter:
    """Peak over the samples; pages that processes share count once for each of them."""

    peak_bytes: int = 0

    @property
    def peak_mib(self) -> float | None:
        """None where no sample saw a process."""
        return self.peak_bytes / MIB or None

    def sample(self, root: int) -> list[int]:
        """Look once at process ``root`` and all below; returns their numbers.

        A single process's peak between two samples is not missed: the kernel keeps it.
        """
        tree: list[psutil.Process] = []
        with suppress(psutil.Error):
            process = psutil.Process(root)
            tree = [process, *process.children(recursive=True)]
        together = 0
        for process in tree:
            with suppress(psutil.Error):
                together += process.memory_info().rss
            self.peak_bytes = max(self.peak_bytes, _own_peak(process.pid))
        self.peak_bytes = max(self.peak_bytes, together)
        return [process.pid for process in tree]


@dataclass
class GpuMeter:
    """Holds the devices of an NVML session; without any it measures nothing and says why."""

    nvml: Any = None
    devices: tuple[Any, ...] = ()
    before: tuple[int, ...] = ()  # bytes in use on each device when the session was opened
    why_not: str = ""
    of_processes: int = 0  # bytes, peaks over the samples
    above_before: int = 0

    @property
    def peak_mib(self) -> float | None:
        """None where nothing could be measured; 0 where the run left the GPU alone."""
        return None if self.why_not else (self.of_processes or self.above_before) / MIB

    @property
    def note(self) -> str:
        return self.why_not or (OF_PROCESSES if self.of_processes else ABOVE_BEFORE)

    def sample(self, processes: Sequence[int]) -> None:
        """Look once; ``processes`` are the numbers of the run's tree."""
        if not self.devices:
            return
        try:
            used = [self.nvml.nvmlDeviceGetMemoryInfo(device).used for device in self.devices]
            own = sum(self._of(device, processes) for device in self.devices)
        except self.nvml.NVMLError as error:
            self.devices, self.why_not = (), f"NVML stopped to answer ({error})"
            return
        rise = sum(max(now - first, 0) for now, first in zip(used, self.before, strict=True))
        self.of_processes = max(self.of_processes, own)
        self.above_before = max(self.above_before, rise)

    def _of(self, device: Any, processes: Sequence[int]) -> int:
        running = self.nvml.nvmlDeviceGetComputeRunningProcesses(device)
        return sum(entry.usedGpuMemory or 0 for entry in running if entry.pid in processes)


@contextmanager
def open_gpu_meter(nvml: Any = None) -> Iterator[GpuMeter]:
    """A meter of all GPUs; ``nvml`` stands in for nvidia-ml-py's module in tests."""
    nvml = nvml or _library()
    if nvml is None:
        yield GpuMeter(why_not="nvidia-ml-py is not installed")
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        yield GpuMeter(why_not=f"no GPU here ({error})")
        return
    try:
        yield _meter(nvml)
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _library() -> Any:
    """nvidia-ml-py's module, or None where it is not installed."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return None
    return pynvml


def _meter(nvml: Any) -> GpuMeter:
    try:
        count = range(nvml.nvmlDeviceGetCount())
        devices = tuple(nvml.nvmlDeviceGetHandleByIndex(index) for index in count)
        before = tuple(int(nvml.nvmlDeviceGetMemoryInfo(device).used) for device in devices)
    except nvml.NVMLError as error:
        return GpuMeter(why_not=f"NVML does not answer ({error})")
    return GpuMeter(nvml, devices, before, "" if devices else "no GPU here")


def _own_peak(process: int) -> int:
    """Linux's high-water mark of one process in bytes; 0 where there is none to read."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
