"""How seconds and memory of the main job grow with a scan: by slices, and by size in the plane."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from meatus.atomic import write_whole
from meatus.engines import usable_threads
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.report.plotting import Axes, Figure
from meatus_evaluation.benchmark.processor import described_processor
from meatus_phantom.generate import Recipe, make_case
from meatus_training.bench.jobs import CASE, time_job, write_scan

Shape = tuple[int, int, int]

SLICES = (20, 40, 80, 160, 320)  # of USUAL_SIDE squared
SIDES = (256, 384, 512, 768, 1024)  # in voxels, of USUAL_SLICES
USUAL_SLICES, USUAL_SIDE = 80, 448
SIDE_MM, SLICE_MM = 201.6, 1.0  # the same part of the head at every size
MIB = 2**20
INCHES, DPI = (12, 3.8), 100


@dataclass(frozen=True)
class Point:
    """The main job on one scan."""

    shape: Shape  # (Z, Y, X)
    seconds: float
    other_s: float  # all stages but the network
    peak_mib: float

    @property
    def scan_mib(self) -> float:
        """The scan itself, as it is held in memory, in float32."""
        return math.prod(self.shape) * 4 / MIB


@dataclass(frozen=True)
class Growth:
    """What was measured, and where."""

    processor: str
    quality: str
    by_slices: tuple[Point, ...]
    by_side: tuple[Point, ...]


@dataclass(frozen=True)
class Fit:
    """A straight line, and the largest share by which a measured value departs from it."""

    start: float
    slope: float
    departure: float

    def at(self, x: float) -> float:
        return self.start + self.slope * x


def measure_growth(
    quality: str,
    repeats: int,
    say: Callable[[str], None],
    slices: Sequence[int] = SLICES,
    sides: Sequence[int] = SIDES,
) -> Growth:
    """Time the main job with the shipped weights on a phantom, drawn on each grid."""
    case = make_case(0, CASE, "ldn", "hrT2", Recipe(random_share=0))

    def point(shape: Shape) -> Point:
        with tempfile.TemporaryDirectory() as folder:
            scan = Path(folder) / "scan.nii.gz"
            step = SIDE_MM / shape[1]
            write_scan(scan, case, shape, (step, step, SLICE_MM))
            row = time_job(f"{shape[0]} slices", scan, DEFAULT_WEIGHTS, quality, repeats)
        found = Point(shape, row.seconds, row.other_seconds or 0.0, row.peak_mib or math.nan)
        say(f"{' x '.join(map(str, shape))}: {found.seconds:.1f} s, {found.peak_mib:.0f} MiB")
        return found

    return Growth(
        f"{described_processor()}, {usable_threads()} threads",
        quality,
        tuple(point((count, USUAL_SIDE, USUAL_SIDE)) for count in slices),
        tuple(point((USUAL_SLICES, side, side)) for side in sides),
    )


def fit_line(x: Sequence[float], y: Sequence[float]) -> Fit:
    """By least squares of ``y``, which is above zero, on ``x``."""
    slope, start = np.polyfit(x, y, 1)
    off = np.abs(np.array(y) / (start + slope * np.array(x)) - 1)
    return Fit(float(start), float(slope), float(off.max()))


def seconds_by_slices(growth: Growth) -> Fit:
    points = growth.by_slices
    return fit_line([point.shape[0] for point in points], [point.seconds for point in points])


def memory_by_scan(growth: Growth) -> Fit:
    """Of all points: MiB without a scan, and MiB for each MiB of the scan."""
    points = (*growth.by_slices, *growth.by_side)
    return fit_line([point.scan_mib for point in points], [point.peak_mib for point in points])


def fits_in_words(growth: Growth) -> list[str]:
    seconds, memory = seconds_by_slices(growth), memory_by_scan(growth)
    return [
        f"seconds: {seconds.start:.2f} + {seconds.slope:.4f} a slice; "
        f"{seconds.departure:.0%} off at most",
        f"peak MiB: {memory.start:.0f} + {memory.slope:.1f} for each MiB of the scan (float32); "
        f"{memory.departure:.0%} off at most",
    ]


def write_growth(folder: Path, growth: Growth) -> None:
    """``speed.png`` and the numbers behind it, ``speed.json``, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(growth, folder / "speed.png")
    write_whole(folder / "speed.json", (json.dumps(asdict(growth), indent=2) + "\n").encode())


def draw(growth: Growth, file: Path) -> None:
    """Seconds by slices, seconds by size in the plane, and memory by the size of the scan."""
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    slices, sides, memory = figure.subplots(1, 3)
    for axes, points, x, label in (
        (slices, growth.by_slices, [p.shape[0] for p in growth.by_slices], "slices"),
        (sides, growth.by_side, [p.shape[1] for p in growth.by_side], "voxels along a side"),
    ):
        axes.plot(x, [point.seconds for point in points], "o", label="all stages")
        axes.plot(x, [point.other_s for point in points], "s", label="without the network")
        axes.set(xlabel=label, ylabel="seconds", ylim=(0, None))
    _line(slices, [point.shape[0] for point in growth.by_slices], seconds_by_slices(growth))
    points = (*growth.by_slices, *growth.by_side)
    sizes = [point.scan_mib for point in points]
    memory.plot(sizes, [point.peak_mib for point in points], "o", label="peak")
    memory.set(xlabel="MiB of the scan in float32", ylabel="peak MiB", ylim=(0, None))
    _line(memory, sizes, memory_by_scan(growth))
    for axes in (slices, sides, memory):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)


def _line(axes: Axes, x: Sequence[float], fit: Fit) -> None:
    ends = [min(x), max(x)]
    axes.plot(ends, [fit.at(end) for end in ends], "-", color="0.6", zorder=0, label="fitted")
