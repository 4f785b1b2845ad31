"""The main job's speed and memory against the published pipeline's work, on this machine.

The published pipeline runs the width-32 network 16 times for an 80-slice scan: eight flips, two
windows of 40 x 384 x 384 each, in PyTorch. One such pass is measured here in the same run; a
ratio of times then holds on any machine.
"""

from __future__ import annotations

import re
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
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.spec import ReferenceCrop, SliceNormalisation, Spec, Window
from meatus.weights import find_members, read_spec
from meatus_evaluation.benchmark.processor import described_processor
from meatus_phantom.generate import Recipe, make_case
from meatus_training.bench.jobs import Row, time_job, time_phantom, write_scan
from meatus_training.bench.sliding_windows import OTHERS, time_program
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
    shipped = find_members(DEFAULT_WEIGHTS)[0][0]
    spec = read_spec(shipped)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan, large = folder / "scan.nii.gz", folder / "large.nii.gz"
        case = make_case(0, 0, "ldn", "hrT2", Recipe(random_share=0))
        write_scan(scan, case, SHAPE, SPACING_MM)
        write_scan(large, case, LARGE_SHAPE, LARGE_SPACING_MM)
        wide = write_network(folder / "wide.onnx", spec, shipped)
        published_rule = write_network(folder / "reference.onnx", as_published(spec), shipped)
        rows += other_rows(published, say) if others else []
        jobs = [
            ("width 32, fast", scan, wide, "fast"),
            ("width 32, standard", scan, wide, "standard"),
            ("width 32, full (eight flips)", scan, wide, "full"),
            ("width 32, published crop, fast", scan, published_rule, "fast"),
            ("width 32, published crop, full", scan, published_rule, "full"),
            ("shipped ensemble, standard", scan, DEFAULT_WEIGHTS, "standard"),
            ("512 x 512 x 256 scan, shipped, standard", large, DEFAULT_WEIGHTS, "standard"),
        ]
        for job, file, weights, quality in jobs:
            row = time_job(job, file, weights, quality, repeats)
            comparable = file == scan
            rows.append(replace(row, ratio=published / row.seconds if comparable else None))
            say(f"{job}: {row.seconds:.1f} s")
    seconds, peak = time_phantom(repeats)
    rows.append(Row("one phantom of 80 x 448 x 448", seconds, None, peak, None))
    return rows


def other_rows(published: float, say: Callable[[str], None]) -> list[Row]:
    """A row for each program that is installed; ``say`` tells of the others."""
    torch.set_num_threads(usable_threads())
    rows = []
    for program in OTHERS:
        if missing := program.missing():
            say(missing)
            continue
        say(f"{program.told()}: one whole scan, this takes minutes")
        network = ResUNet25d(WIDTH, BLOCKS).eval()
        seconds = time_program(program, network, torch.rand(SHAPE) * 2 - 1, PUBLISHED_WINDOW)
        rows.append(Row(program.told(), seconds, None, None, published / seconds))
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
    """The full-width network that computes what ``shipped`` does, so that its maps are real."""
    network = widened(shipped, read_spec(shipped))
    export_onnx(network, replace(spec, width=WIDTH, precision="fp32"), path)
    return path


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
