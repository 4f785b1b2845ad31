import os
from types import SimpleNamespace

import numpy as np

from meatus_evaluation.benchmark.memory import MIB, TreeMeter, open_gpu_meter


def test_a_peak_between_two_looks_is_seen():
    """The kernel keeps a process's high-water mark: here of memory that was given back."""
    meter = TreeMeter()
    meter.sample(os.getpid())
    before = meter.peak_mib
    block = np.ones(int(before + 150) * MIB, dtype=np.uint8)
    del block
    meter.sample(os.getpid())

    assert meter.peak_mib > before + 140


def test_a_process_that_is_gone_is_no_error():
    meter = TreeMeter()
    assert meter.sample(2**22 + 1) == []
    assert meter.peak_mib is None


class Nvml:
    """NVIDIA's library with one device; ``used`` and ``own`` are MiB at each look."""

    class NVMLError(Exception):
        pass

    def __init__(self, used, own=(), there=True):
        self.used, self.own, self.there, self.closed = iter(used), iter(own), there, False

    def nvmlInit(self):  # noqa: N802
        if not self.there:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):  # noqa: N802
        self.closed = True

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, device):  # noqa: N802
        value = next(self.used)
        if value is None:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=value * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, device):  # noqa: N802
        rows = next(self.own, {})
        return [SimpleNamespace(pid=pid, usedGpuMemory=mib * MIB) for pid, mib in rows.items()]


def test_gpu_memory_is_the_peak_of_the_jobs_own_processes():
    nvml = Nvml([100, 700, 400], [{7: 500, 9: 50}, {7: 200}])
    with open_gpu_meter(nvml) as meter:
        for _ in range(2):
            meter.sample([7, 8])

    assert (meter.peak_mib, meter.note) == (500, "of its processes, by NVML")
    assert nvml.closed


def test_where_the_driver_does_not_know_the_job_the_rise_counts():
    with open_gpu_meter(Nvml([100, 700, 400])) as meter:
        for _ in range(2):
            meter.sample([7])

    assert meter.peak_mib == 600
    assert "before" in meter.note


def test_a_machine_without_a_gpu_is_told():
    with open_gpu_meter(Nvml([], there=False)) as meter:
        meter.sample([7])

    assert (meter.peak_mib, meter.note) == (None, "no GPU here (Driver Not Loaded)")


def test_a_gpu_that_stops_to_answer_is_told():
    with open_gpu_meter(Nvml([100, None])) as meter:
        meter.sample([7])
        meter.sample([7])

    assert meter.peak_mib is None
    assert "GPU is lost" in meter.note


def test_a_missing_library_is_told(monkeypatch):
    monkeypatch.setattr("meatus_evaluation.benchmark.memory._library", lambda: None)
    with open_gpu_meter() as meter:
        assert (meter.peak_mib, meter.note) == (None, "nvidia-ml-py is not installed")
