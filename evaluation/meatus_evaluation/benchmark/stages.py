"""Seconds of each stage of the main job, and the memory that the process needed."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from meatus import read_scan, write_labels
from meatus.ensemble import Model
from meatus.pipeline import segment
from meatus.postprocess import Rules
from meatus.timing import Stopwatch, peak_mib

NETWORK = "network"


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


def time_stages(
    scan_file: Path, model: Model, repeats: int, labels: Path | None = None
) -> StageTimes:
    """Segment ``scan_file`` ``repeats`` times, one stage after the other, and time each.

    The label map is kept as ``labels``, where that is given.
    """
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):  # the first one compiles the network for its window
            runs.append(run_stages(scan_file, model, labels or Path(folder) / "result.nii.gz"))
    medians = {
        stage: statistics.median(run[stage] for run in runs[1:] or runs) for stage in runs[0]
    }
    return StageTimes(medians, peak_mib())


def run_stages(scan_file: Path, model: Model, out: Path) -> dict[str, float]:
    """Label ``scan_file`` once, from file to file; seconds by stage."""
    watch = Stopwatch()
    with watch("read"):
        scan = read_scan(scan_file)
    result = segment(scan, model, Rules())
    with watch("write"):
        write_labels(result.labels, out)
    return watch.seconds | result.seconds
