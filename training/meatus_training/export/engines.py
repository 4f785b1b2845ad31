"""Whether every runtime labels whole scans as PyTorch in float32 does, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from meatus.engines import Engine, Kind, load_engine, usable_threads
from meatus.engines.devices import check
from meatus.engines.openvino_cpu import OpenVinoEngine, Precision, int8_network
from meatus.ensemble import Model, Quality
from meatus.errors import DeviceError
from meatus.geometry import Array
from meatus.pipeline import segment
from meatus.report.measure import structure_masks
from meatus.spec import Spec
from meatus.volumes import Labels, Scan
from meatus.weights import find_networks
from meatus_training.export.agreement import dice, probabilities
from meatus_training.export.onnx_export import read_network
from meatus_training.networks import ResUNet25d

ORT_KINDS: tuple[Kind, ...] = ("onnxruntime", "cuda", "tensorrt")
OPENVINO_PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")
WANTED_DICE = 0.99  # mean over the scans, of every structure

Loader = Callable[[Path, Spec], Engine]
Dices = dict[str, float]  # by structure, between a runtime's label map and PyTorch's


@dataclass(frozen=True)
class Summary:
    """One runtime and structure over all scans."""

    engine: str
    structure: str
    mean: float
    lowest: float
    lowest_case: str


@dataclass
class TorchEngine:
    """The weights of an exported file in PyTorch, float32 on the processor."""

    network: ResUNet25d
    name: str = "PyTorch CPU fp32"

    def __call__(self, window: Array) -> Array:
        return probabilities(self.network, window)

    def release(self) -> None:
        """PyTorch keeps nothing between windows."""


def compare_engines(
    scans: Iterable[tuple[str, Scan]], weights: Path, quality: Quality
) -> Iterator[tuple[str, dict[str, Dices]]]:
    """For each named scan the Dice of every usable runtime's label map with PyTorch's.

    Raises ``WeightsError`` where ``weights`` cannot be read.
    """
    members = find_networks(weights).members
    used = members[:1] if quality == "fast" else members
    exact = Model(tuple(TorchEngine(read_network(*one)) for one in used), used[0][1], quality)
    models = [
        Model(tuple(load(*one) for one in used), used[0][1], quality)
        for load in usable_loaders([file for file, _ in used])
    ]
    for name, scan in scans:
        expected = segment(scan, exact).labels
        yield (
            name,
            {
                model.members[0].name: label_dices(segment(scan, model).labels, expected)
                for model in models
            },
        )


def usable_loaders(networks: Sequence[Path]) -> list[Loader]:
    """One for each runtime and precision that works on this machine; int8 where all have it."""
    threads = usable_threads()
    found: list[Loader] = [
        partial(load_engine, kind=kind, threads=threads, cache=None, say=lambda _line: None)
        for kind in ORT_KINDS
        if _works(kind)
    ]
    if _works("openvino"):
        quantised = all(int8_network(file) for file in networks)
        found += [
            partial(OpenVinoEngine, threads=threads, precision=precision)
            for precision in (*OPENVINO_PRECISIONS, *(("int8",) if quantised else ()))
        ]
    return found


def label_dices(found: Labels, expected: Labels) -> Dices:
    """Dice by structure; 1 where both lack it."""
    one, other = structure_masks(found.voxels), structure_masks(expected.voxels)
    return {name: dice(one[name], other[name]) for name in one}


def _works(kind: Kind) -> bool:
    try:
        check(kind)
    except DeviceError:
        return False
    return True


def summarise(cases: dict[str, dict[str, Dices]]) -> list[Summary]:
    """The mean and the lowest Dice of each runtime and structure over ``cases``."""
    first = next(iter(cases.values()))
    return [
        Summary(
            engine,
            structure,
            mean=float(np.mean([case[engine][structure] for case in cases.values()])),
            lowest=min(case[engine][structure] for case in cases.values()),
            lowest_case=min(cases, key=lambda name: cases[name][engine][structure]),
        )
        for engine, structures in first.items()
        for structure in structures
    ]
