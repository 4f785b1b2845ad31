"""What steps, slices and windows cost on this machine, measured in some of each."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray

from meatus.structures import Structure
from meatus.windows import GRID_MULTIPLE
from meatus_training.prepare.cases import PreparedCase, absolute
from meatus_training.prepare.check import check_case
from meatus_training.prepare.make import make_case
from meatus_training.prepare.raw import Found
from meatus_training.reproduce.settings import ReproduceSettings
from meatus_training.segmentation.samples import SampleScans, TrainingSample
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import start_state as start_segmenter
from meatus_training.segmentation.step import pass_alone
from meatus_training.segmentation.windows import WindowSet
from meatus_training.translation.data import Pairs, SlicePairs
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.stage import ONE_STYLE, translation_data
from meatus_training.translation.state import start_state as start_translator
from meatus_training.translation.train import train_step

GIB = 2**30
REPEATS = 3  # timed steps, behind one that is not
PART = 4  # of each side of a window in the plane that a processor measures
PART_DEPTH = 8  # slices of it


@dataclass(frozen=True)
class Costs:
    """Seconds on this machine."""

    prepare_s: float  # a labelled scan, checked and prepared by one process
    translate_step_s: float  # a step of one process's share of the batch
    translate_slice_s: float
    segment_pass_s: float  # a window, forward and back
    label_pass_s: float  # a window, forward alone
    load_window_s: float  # a window, read and varied by one process
    load_pair_s: float = 0.0  # a pair of slices for the translator, likewise
    translate_gib: float = 0.0  # of a GPU's memory; of a processor's nothing is known
    segment_gib: float = 0.0  # for one window


def measure_costs(
    data: Path, found: Found, settings: ReproduceSettings, fabric: Fabric, processes: int = 1
) -> Costs:
    """Run some steps of each kind on the device of ``fabric``, and prepare a scan of ``data``.

    ``fabric`` is of one process; of a step's batch it takes the share of one of ``processes``.
    """
    first = next(case for case in found.cases if case.split == "source")
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        checked = check_case(first, settings.prepare, data)
        record = make_case(first, checked, settings.prepare, Path(name))
        prepare_s = time.perf_counter() - started
        case = absolute(record.case, Path(name))
        voxels = np.array(case.load_voxels())
        load_pair_s = _load_pair_s(case, settings.translate.training, fabric)
    translate = settings.translate.training
    if settings.translate.styles == "by_site":
        sites = {case.site for case in found.cases if case.split == "target"}
        translate = replace(translate, styles=len(sites))
    with _peak_gib(fabric) as translate_gib:
        step_s, slice_s = _translation_costs(translate, fabric, processes)
    window, times = _measured_window(settings.segment, fabric)
    state = start_segmenter(settings.segment, fabric, None)
    with _peak_gib(fabric) as segment_gib:
        pass_s = _median(partial(pass_alone, state, settings.segment, window, 1), fabric)
    image = torch.zeros((1, 1, *window), device=fabric.device)

    @torch.no_grad()
    def label() -> None:
        with fabric.autocast():
            state.network(image)

    return Costs(
        prepare_s,
        step_s,
        slice_s,
        pass_s * times,
        _median(label, fabric) * times,
        _load_window_s(voxels, settings.segment, fabric),
        load_pair_s,
        sum(translate_gib),
        sum(segment_gib),
    )


@contextmanager
def _peak_gib(fabric: Fabric) -> Iterator[list[float]]:
    """Holds after the block what it took of the GPU's memory at most; nothing on a processor."""
    taken: list[float] = []
    if fabric.device.type != "cuda":
        yield taken
        return
    torch.cuda.reset_peak_memory_stats(fabric.device)
    yield taken
    taken.append(torch.cuda.max_memory_allocated(fabric.device) / GIB)


def _translation_costs(
    settings: TranslatorSettings, fabric: Fabric, processes: int
) -> tuple[float, float]:
    share = max(settings.batch // processes, 1)
    cpu = fabric.device.type == "cpu"
    count = 1 if cpu else share
    size = settings.size // PART // GRID_MULTIPLE * GRID_MULTIPLE if cpu else settings.size
    size = max(size, 32)
    times = (settings.size / size) ** 2 * share / count
    state = start_translator(settings, fabric)
    images = torch.rand((count, settings.channels, size, size), device=fabric.device) * 2 - 1
    styles = torch.zeros(count, dtype=torch.long, device=fabric.device) if settings.styles else None
    labels = torch.zeros((count, size, size), dtype=torch.uint8, device=fabric.device)
    own = replace(settings, patches=min(settings.patches, size * size // 64))

    @torch.no_grad()
    def translate() -> None:
        with fabric.autocast():
            state.generator(images, styles)

    def step() -> None:
        train_step(state, Pairs(images, images, styles, labels), own, own.segmenter_from, fabric)

    slice_s = _median(translate, fabric) * times / share
    return _median(step, fabric) * times, slice_s


def _measured_window(
    settings: SegmentSettings, fabric: Fabric
) -> tuple[tuple[int, int, int], float]:
    """A window to measure, and how many times as large the real one is."""
    depth, rows, columns = settings.patch
    if fabric.device.type != "cpu":
        return settings.patch, 1.0
    part = (
        min(depth, PART_DEPTH),
        max(rows // PART // GRID_MULTIPLE * GRID_MULTIPLE, 32),
        max(columns // PART // GRID_MULTIPLE * GRID_MULTIPLE, 32),
    )
    return part, depth * rows * columns / (part[0] * part[1] * part[2])


def _median(job: Callable[[], object], fabric: Fabric) -> float:
    """Seconds of ``job``: the median of some runs after one that is not timed."""
    seconds = []
    for _ in range(1 + REPEATS):
        _finish(fabric)
        started = time.perf_counter()
        job()
        _finish(fabric)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _finish(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)


def _load_pair_s(case: PreparedCase, settings: TranslatorSettings, fabric: Fabric) -> float:
    """Seconds of one reader for two slices, here both of one scan with labels."""
    names = ["only"] if settings.styles else [ONE_STYLE]
    scans = [case, replace(case, split="target", site="only")]
    data = translation_data(scans, names, settings.size if settings.fit == "zoom" else 0)
    pairs, numbers = SlicePairs(data, settings), count()
    return _median(lambda: pairs[next(numbers)], fabric)


def _load_window_s(voxels: NDArray[np.float16], settings: SegmentSettings, fabric: Fabric) -> float:
    """Seconds of one reader for a window of a prepared scan (Z, Y, X), as the loader makes them."""
    late = fabric.device.type == "cuda" and settings.augment_on_gpu  # varied where the network is
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    labels[tuple(n // 2 for n in voxels.shape)] = Structure.COCHLEA
    with tempfile.TemporaryDirectory() as name:
        sample = TrainingSample("scan", Path(name) / "voxels.npy", Path(name) / "labels.npy")
        np.save(sample.voxels, voxels)
        np.save(sample.labels, labels)
        scans, numbers = SampleScans([sample]), count()
        windows = WindowSet(scans, settings, whole=False, augment=not late)
        return _median(lambda: windows[next(numbers)], fabric)
