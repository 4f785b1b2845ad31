"""How much work the main job is, in passes and in fixed work that take their time beside it.

Seconds depend on the machine and on what else runs there. The network's stage is therefore counted
in passes of one member over the whole field, on the same engine; all other stages together in
work of the same kind that never changes. Each round times all three, one right after the other, so
that what slows one slows all.
"""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from meatus import read_scan
from meatus.atomic import write_whole
from meatus.ensemble import Quality
from meatus.errors import UsageError
from meatus.geometry import Array
from meatus.pipeline import DEFAULT_WEIGHTS, load_model
from meatus.preprocess import prepare
from meatus.regions import whole_field
from meatus.spec import Spec
from meatus.windows import cut, plan
from meatus_evaluation.benchmark.processor import described_processor
from meatus_evaluation.benchmark.stages import NETWORK, run_stages

QUALITY: Quality = "standard"  # what a processor runs unless told otherwise
FIXED_SHAPE = (24, 256, 256)


@dataclass(frozen=True)
class Round:
    """Seconds of one round: the main job's, and those that they are counted in."""

    network_s: float
    other_s: float
    pass_s: float
    fixed_s: float


@dataclass(frozen=True)
class Ratios:
    """Of the main job on one scan."""

    network: float  # passes of the first member over the whole field
    other: float  # all other stages, in fixed work
    processor: str  # on which they were measured


def measure_ratios(scan_file: Path, repeats: int, weights: Path = DEFAULT_WEIGHTS) -> Ratios:
    """Of the main job on ``scan_file``, on the processor, in ``repeats`` rounds after a warm-up.

    Raises ``InferenceError`` where scan or weights cannot be used.
    """
    model = load_model(weights, device="cpu", quality=QUALITY)
    # An engine of its own: one that went from window to window would compile for each anew.
    member = load_model(weights, device="cpu", quality="fast").members[0]
    window = whole_window(scan_file, model.spec)
    fixed = FixedWork()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):
            pass_s, fixed_s = seconds_of(lambda: member(window)), seconds_of(fixed)
            stages = run_stages(scan_file, model, Path(folder) / "result.nii.gz")
            network_s = stages.pop(NETWORK)
            rounds.append(Round(network_s, sum(stages.values()), pass_s, fixed_s))
    return ratios_of(rounds[1:])


def ratios_of(rounds: Sequence[Round]) -> Ratios:
    """Medians over the rounds of each one's own ratios."""
    return Ratios(
        statistics.median(one.network_s / one.pass_s for one in rounds),
        statistics.median(one.other_s / one.fixed_s for one in rounds),
        described_processor(),
    )


def read_ratios(file: Path) -> Ratios:
    """Those that were stored. Raises ``UsageError`` where ``file`` does not hold them."""
    try:
        stored = json.loads(file.read_text())
        found = Ratios(float(stored["network"]), float(stored["other"]), str(stored["processor"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} holds no stored ratios ({type(error).__name__}: {error}); "
            "expected those that 'make renew-ratios' writes."
        ) from error
    if min(found.network, found.other) <= 0:
        raise UsageError(f"{file}: ratios are above zero; write them anew: 'make renew-ratios'.")
    return found


def write_ratios(file: Path, ratios: Ratios) -> None:
    write_whole(file, (json.dumps(asdict(ratios), indent=2) + "\n").encode())


def whole_window(scan_file: Path, spec: Spec) -> Array:
    """The first window (Z, Y, X) that the network is shown of a scan's whole field."""
    prepared = prepare(read_scan(scan_file), spec)
    (field,) = whole_field(prepared, spec).boxes
    voxels = prepared.voxels[field.box]
    return cut(voxels, plan(len(voxels), spec.window)[0], spec.window.depth)


class FixedWork:
    """What the stages beside the network do, on drawn numbers, by NumPy and SciPy alone.

    None of the program's own steps, which may become faster or slower.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        smooth = ndimage.gaussian_filter(rng.standard_normal(FIXED_SHAPE), 3)
        self._voxels = (smooth / smooth.std() * 20 + 60).clip(0, 255).astype(np.int16)
        self._weights = rng.random((288, FIXED_SHAPE[2])).astype(np.float32)

    def __call__(self) -> None:
        packed = gzip.compress(self._voxels.tobytes(), 1)
        voxels = np.frombuffer(gzip.decompress(packed), np.int16).reshape(FIXED_SHAPE)
        scaled = voxels.astype(np.float32)
        low, high = np.percentile(scaled, (1, 99))
        np.tensordot((scaled - low) / (high - low), self._weights, axes=(2, 1))
        bright = scaled > high / 2
        numbers, _ = ndimage.label(bright)
        np.bincount(numbers.ravel())
        ndimage.distance_transform_edt(bright[:, ::2, ::2])
        ndimage.binary_fill_holes(bright[:, ::2, ::2])


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
