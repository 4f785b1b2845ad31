"""Ways to run the network on a processor, each beside today's in every round.

Today's is one request over all cores, one window after the other. The work is a window and its
left-right flip.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meatus.engines import usable_threads
from meatus.engines.openvino_cpu import fastest_precision, openvino_core, openvino_module
from meatus.geometry import Array
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.service.cases import find_cases
from meatus.spec import Spec
from meatus.weights import find_networks
from meatus_evaluation.benchmark.processor import described_processor
from meatus_evaluation.benchmark.ratios import whole_window
from meatus_evaluation.scoring.measures import dice
from meatus_training.errors import TrainingError
from meatus_training.export.int8 import quantised

Run = Callable[[Array], Array]  # (N, Z, Y, X) windows to (N, C, Z, Y, X) probabilities

TODAY = "one request over all cores"


@dataclass(frozen=True)
class Timed:
    """One way's row."""

    name: str
    seconds: float  # median over the rounds
    share: float  # of today's seconds, the median of each round's own
    dice: float  # the lowest of all structures, its labels against today's


def measure_ways(
    scan: Path, repeats: int, say: Callable[[str], None], calibrate: Path | None = None
) -> list[Timed]:
    """Time every way that works here in ``repeats`` rounds after a warm-up.

    Raises ``InferenceError`` where OpenVINO, the scan or the scans to calibrate on are missing.
    """
    file, spec = find_networks(DEFAULT_WEIGHTS).members[0]
    window = whole_window(scan, spec)
    work = np.stack([window, window[..., ::-1]])
    say(f"{described_processor()}, {usable_threads()} threads, window {window.shape}")
    ways = openvino_ways(file, window.shape)
    if calibrate is not None:
        windows = [whole_window(case.scan, spec) for case in find_cases(calibrate, calibrate).cases]
        ways |= int8_way(file, spec, windows, say)
    return timed(ways, work, repeats)


def timed(ways: dict[str, Run], work: Array, repeats: int) -> list[Timed]:
    """Every way in turn, ``repeats`` rounds after a warm-up, beside the first one."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    labels = {}
    for _ in range(repeats + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            result = run(work)
            found[name].append(time.perf_counter() - started)
            labels[name] = result.argmax(axis=1)
    return rows_of({name: seconds[1:] for name, seconds in found.items()}, labels)


def rows_of(seconds: dict[str, list[float]], labels: dict[str, Any]) -> list[Timed]:
    """Each way beside the first one, round by round."""
    first, *_ = seconds
    return [
        Timed(
            name,
            statistics.median(rounds),
            statistics.median(a / b for a, b in zip(rounds, seconds[first], strict=True)),
            lowest_dice(labels[name], labels[first]),
        )
        for name, rounds in seconds.items()
    ]


def lowest_dice(found: Any, wanted: Any) -> float:
    classes = np.unique(wanted[wanted > 0])
    return min((dice(found == one, wanted == one) for one in classes), default=1.0)


def openvino_ways(file: Path, shape: Sequence[int]) -> dict[str, Run]:
    """Today's first. ``shape`` (Z, Y, X) is the windows'."""
    openvino, core = openvino_module(), openvino_core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision, threads = fastest_precision(capabilities), usable_threads()

    def compiled(batch: int, streams: int, chosen: str = precision) -> Any:
        model = core.read_model(file)
        model.reshape([batch, 1, *shape])
        return core.compile_model(model, "CPU", settings(chosen, streams, threads))

    ways = {
        TODAY: one_by_one(compiled(1, 1)),
        f"one request per core ({threads})": side_by_side(openvino, compiled(1, threads), threads),
        "both flips as a batch": as_batch(compiled(2, 1)),
    }
    if precision != "f32":
        ways[f"{TODAY}, f32"] = one_by_one(compiled(1, 1, "f32"))
    return ways


def settings(precision: str, streams: int, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }


def one_by_one(compiled: Any) -> Run:
    request = compiled.create_infer_request()
    return lambda work: np.stack([np.array(request.infer({0: w[None, None]})[0][0]) for w in work])


def as_batch(compiled: Any) -> Run:
    request = compiled.create_infer_request()
    return lambda work: np.array(request.infer({0: work[:, None]})[0])


def side_by_side(openvino: Any, compiled: Any, requests: int) -> Run:
    """Each window in a request of its own, as many at once as there are ``requests``."""
    queue = openvino.AsyncInferQueue(compiled, requests)

    def run(work: Array) -> Array:
        results: dict[int, Array] = {}

        def keep(request: Any, place: int) -> None:
            results[place] = np.array(request.get_output_tensor(0).data[0])

        queue.set_callback(keep)
        for place, window in enumerate(work):
            queue.start_async({0: np.ascontiguousarray(window[None, None])}, place)
        queue.wait_all()
        return np.stack([results[place] for place in range(len(work))])

    return run


def int8_way(
    file: Path, spec: Spec, windows: Sequence[Array], say: Callable[[str], None]
) -> dict[str, Run]:
    """The network quantised to int8 by NNCF on ``windows``; nothing where NNCF is not installed."""
    try:
        small = quantised(file, windows)
    except TrainingError as error:
        say(f"int8 is left out: {error}")
        return {}
    say(f"int8: calibrated on {len(windows)} windows of {spec.name}'s input")
    compiled = openvino_core().compile_model(small, "CPU", settings("f32", 1, usable_threads()))
    return {"int8 (NNCF), one request": one_by_one(compiled)}
