"""How long each stage of the main job takes, and how much memory the process needed."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inference import read_scan, write_labels
from inference.decide import decide
from inference.ensemble import Model, predict
from inference.postprocess import clean
from inference.preprocess import prepare

Result = TypeVar("Result")
NETWORK = "network"


@dataclass(frozen=True)
class StageTimes:
    """Medians in seconds over the repeats, from file to file, after one warm-up."""

    seconds: dict[str, float]
    peak_mib: float  # resident memory of the whole process so far

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
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return StageTimes(medians, peak_kib / 1024)


def _run(scan_file: Path, model: Model, out: Path) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        result = work()
        seconds[stage] = time.perf_counter() - started
        return result

    scan = timed("read", lambda: read_scan(scan_file))
    prepared = timed("prepare", lambda: prepare(scan, model.spec))
    probabilities = timed(NETWORK, lambda: predict(prepared, model))
    labels = timed("decide", lambda: decide(probabilities, scan))
    cleaned = timed("clean", lambda: clean(labels))
    timed("write", lambda: write_labels(cleaned, out))
    return seconds
