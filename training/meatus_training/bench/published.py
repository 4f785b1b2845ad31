"""The main job's speed and memory against the published pipeline's work, on this machine.

The published pipeline runs the width-32 network 16 times for an 80-slice scan: eight flips, two
windows of 40 x 384 x 384 each, in PyTorch. One such pass is measured here in the same run; a
ratio of times then holds on any machine. Other programs that move a network over a scan are
reckoned alike, by how often they run it.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from meatus.engines import usable_threads
from meatus.io.images import read_scan
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.spec import ReferenceCrop, SliceNormalisation, Spec, Window
from meatus.weights import find_networks
from meatus_evaluation.benchmark.processor import described_processor
from meatus_phantom.generate import Recipe, make_case
from meatus_training.bench.jobs import CASE, Row, time_job, time_phantom, write_scan
from meatus_training.bench.sliding_windows import OTHERS, time_program
from meatus_training.errors import TrainingError
from meatus_training.export.int8 import windows_of, write_with_int8
from meatus_training.export.manifest import write_manifest
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d

WIDTH, BLOCKS = 32, 3
PUBLISHED_WINDOW = (40, 384, 384)
PUBLISHED_PASSES = 16
FUSING = re.compile(r"backbone\.conv[567]\.conv\.0\.weight")
SHAPE = (80, 448, 448)
SPACING_MM = (0.45, 0.45, 1.0)
LARGE_SHAPE = (256, 512, 512)
LARGE_SPACING_MM = (0.4, 0.4, 0.8)


def run_bench(
    repeats: int, passes: int, say: Callable[[str], None], *, others: bool = False
) -> list[Row]:
    """Time PyTorch's passes, then each quality with ``repeats`` runs after a warm-up.

    With ``others``, also an equal network in what other programs move over a scan.
    """
    say(f"{described_processor()}, {usable_threads()} threads")
    one_pass = torch_pass(passes)
    published = one_pass * PUBLISHED_PASSES
    say(f"one pass in PyTorch fp32: {one_pass:.1f} s")
    rows = [Row("published work: 16 passes, PyTorch fp32", published, None, None, 1.0)]
    networks = find_networks(DEFAULT_WEIGHTS)
    shipped, spec = networks.members[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan, large = folder / "scan.nii.gz", folder / "large.nii.gz"
        case = make_case(0, CASE, "ldn", "hrT2", Recipe(random_share=0))
        write_scan(scan, case, SHAPE, SPACING_MM)
        write_scan(large, case, LARGE_SHAPE, LARGE_SPACING_MM)
        wide = write_network(folder / "wide.onnx", spec, shipped)
        published_rule = write_network(folder / "reference.onnx", as_published(spec), shipped)
        rows += other_rows(one_pass, say) if others else []
        add_int8(wide, spec, scan, say)
        scout = networks.scout[0] if networks.scout else None
        with_scout = write_set(folder / "with_scout", wide, scout)
        jobs = [
            ("width 32 with the scout, fast", scan, with_scout, "fast"),
            ("width 32, fast", scan, wide, "fast"),
            ("width 32, standard", scan, wide, "standard"),
            ("width 32 with the scout, full (eight flips)", scan, with_scout, "full"),
            ("width 32, published crop, fast", scan, published_rule, "fast"),
            ("width 32, published crop, full", scan, published_rule, "full"),
            ("shipped ensemble, fast", scan, DEFAULT_WEIGHTS, "fast"),
            ("shipped ensemble, standard", scan, DEFAULT_WEIGHTS, "standard"),
            ("512 x 512 x 256 scan, shipped, standard", large, DEFAULT_WEIGHTS, "standard"),
        ]
        for job, file, weights, quality in jobs:
            # A minute of work varies little: once after the warm-up.
            row = time_job(job, file, weights, quality, 1 if quality == "full" else repeats)
            comparable = file == scan
            rows.append(replace(row, ratio=published / row.seconds if comparable else None))
            say(f"{job}: {row.seconds:.1f} s")
    seconds, peak = time_phantom(repeats)
    rows.append(Row("one phantom of 80 x 448 x 448", seconds, None, peak, None))
    return rows


def other_rows(one_pass: float, say: Callable[[str], None]) -> list[Row]:
    """A row for each program that is installed; ``say`` tells of the others.

    ``one_pass`` is the seconds of a window of ``PUBLISHED_WINDOW`` in the same network.
    """
    torch.set_num_threads(usable_threads())
    rows = []
    for program in OTHERS:
        if missing := program.missing():
            say(missing)
            continue
        seconds, passes = time_program(program, torch.rand(SHAPE), PUBLISHED_WINDOW, one_pass)
        ratio = PUBLISHED_PASSES * one_pass / seconds
        rows.append(Row(f"{program.told()}: {passes} passes", seconds, None, None, ratio))
        say(f"{rows[-1].job}: {seconds:.0f} s")
    return rows


def torch_pass(passes: int) -> float:
    """Median seconds of one forward pass in float32, eager mode, all threads, after a warm-up."""
    network = ResUNet25d(WIDTH, BLOCKS).eval()
    window = torch.rand(1, 1, *PUBLISHED_WINDOW) * 2 - 1
    seconds = []
    torch.set_num_threads(usable_threads())
    with torch.inference_mode():
        for _ in range(passes + 1):
            started = time.perf_counter()
            network(window)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def write_network(path: Path, spec: Spec, shipped: Path) -> Path:
    """The full-width network that computes what ``shipped`` does, so that its maps are real.

    It counts as having learnt all flips, for what is timed is the published work's eight.
    """
    network = widened(shipped, spec)
    export_onnx(network, replace(spec, width=WIDTH, precision="fp32", flips="all"), path)
    return path


def add_int8(file: Path, spec: Spec, scan: Path, say: Callable[[str], None]) -> None:
    """Put the int8 network that processors with VNNI run beside the float one in ``file``.

    Without NNCF it stays away, and ``say`` tells so: such processors then run float32.
    """
    try:
        write_with_int8(file, windows_of([read_scan(scan)], spec), file)
    except TrainingError as error:
        say(f"width 32 without int8: {error}")


def write_set(folder: Path, *members: Path | None) -> Path:
    """A set of weights of copies of ``members``."""
    folder.mkdir()
    for file in filter(None, members):
        shutil.copy(file, folder)
    write_manifest(folder, {})
    return folder


def widened(file: Path, spec: Spec) -> ResUNet25d:
    """A network of width 32 from the narrower one in ``file``: the channels added are dead.

    They take as much time as living ones.
    """
    network = ResUNet25d(WIDTH, spec.blocks)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for tensor in onnx.load(file).graph.initializer:
        if tensor.name not in state:
            continue
        value = torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        wide = state[tensor.name]
        out, inputs = value.shape[0], value.shape[1] if value.ndim > 1 else 0
        if FUSING.fullmatch(tensor.name):  # the skipped channels lie behind the upper ones
            upper, wide_upper = inputs - out, wide.shape[1] - wide.shape[0]
            wide[:out, :upper] = value[:, :upper]
            wide[:out, wide_upper : wide_upper + out] = value[:, upper:]
        elif value.ndim > 1:
            wide[:out, :inputs] = value
        else:
            wide[:out] = value
    network.load_state_dict(state)
    return network


def as_published(spec: Spec) -> Spec:
    return replace(
        spec, crop=ReferenceCrop(), normalisation=SliceNormalisation(), window=Window(40, 0)
    )
