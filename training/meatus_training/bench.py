"""The main job's speed and memory against the published pipeline's work, on this machine.

The published pipeline runs the width-32 network 16 times for an 80-slice scan: eight flips, two
windows of 40 x 384 x 384 each, in PyTorch. One such pass is measured here in the same run; a
ratio of times then holds on any machine.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import onnx
import torch
from onnx import numpy_helper

from meatus.engines import usable_threads
from meatus.geometry import Geometry, axial, resample
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.spec import ReferenceCrop, SliceNormalisation, Spec, Window
from meatus.timing import peak_mib
from meatus.weights import find_members, read_spec
from meatus_phantom.acquisition.sites import SITES, draw_setup
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.generate import Case, Recipe, make_case, render_case
from meatus_phantom.subject import draw_subject
from meatus_training.errors import TrainingError
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d

Spacing = tuple[float, float, float]
WIDTH, BLOCKS = 32, 3
PUBLISHED_WINDOW = (40, 384, 384)
PUBLISHED_PASSES = 16
FUSING = re.compile(r"backbone\.conv[567]\.conv\.0\.weight")
SHAPE = (80, 448, 448)
SPACING_MM = (0.45, 0.45, 1.0)
LARGE_SHAPE = (256, 512, 512)
LARGE_SPACING_MM = (0.4, 0.4, 0.8)

GRID = Geometry((448, 448, 80), (0.5, 0.5, 1.0), (-111.75, -111.75, -39.5))  # about the ears


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    job: str
    seconds: float
    other_seconds: float | None  # all stages but the network
    peak_mib: float | None
    ratio: float | None  # published work over this


def run_bench(repeats: int, passes: int, say: Callable[[str], None]) -> list[Row]:
    """Time PyTorch's passes, then each quality with ``repeats`` runs after a warm-up."""
    say(f"{processor()}, {usable_threads()} threads")
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


def torch_pass(passes: int) -> float:
    """Median seconds of one forward pass in float32, eager mode, all threads."""
    network = ResUNet25d(WIDTH, BLOCKS).eval()
    window = torch.rand(1, 1, *PUBLISHED_WINDOW) * 2 - 1
    seconds = []
    torch.set_num_threads(usable_threads())
    with torch.inference_mode():
        for _ in range(passes):
            started = time.perf_counter()
            network(window)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def time_job(job: str, scan: Path, weights: Path, quality: str, repeats: int) -> Row:
    """Run the main job in a process of its own, whose memory is then its peak."""
    command = [sys.executable, "-m", "meatus", "stages", str(scan), "--weights", str(weights)]
    command += ["--device", "cpu", "--quality", quality, "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TrainingError(f"{job}: {done.stderr.strip()}")
    measured = json.loads(done.stdout)
    total = sum(measured["seconds"].values())
    return Row(job, total, total - measured["seconds"]["network"], measured["peak_mib"], None)


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


def write_scan(path: Path, case: Case, shape: tuple[int, int, int], size_mm: Spacing) -> None:
    """A phantom ``case`` on a grid of ``shape`` (Z, Y, X), its borders carried on."""
    grid = axial(case.geometry)
    step = [new / old for new, old in zip(size_mm, grid.spacing_mm, strict=True)]
    size = shape[::-1]
    start = [(n - 1) / 2 - (m - 1) / 2 * s for n, m, s in zip(grid.size, size, step, strict=True)]
    target = grid.regrid((start[0], start[1], start[2]), (step[0], step[1], step[2]), size)
    voxels = resample(case.voxels.astype(np.float32), grid, target)
    affine = np.diag([-size_mm[0], -size_mm[1], size_mm[2], 1.0])
    image = nib.Nifti1Image(np.rint(voxels).T.astype(np.int16), affine)
    image.to_filename(path)


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def time_phantom(repeats: int) -> tuple[float, float | None]:
    """Median seconds for a scan of 80 x 448 x 448 after a warm-up, and the peak in MiB.

    In a process of its own, whose memory is then its peak.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_time_phantom, repeats).result()


def _time_phantom(repeats: int) -> tuple[float, float | None]:
    torch.set_num_threads(usable_threads())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seconds = []
    for seed in range(repeats + 1):
        started = time.perf_counter()
        subject = draw_subject(seed, LesionMix())
        setup = replace(draw_setup(SITES["ldn"], "hrT2", seed), geometry=GRID)
        render_case(subject, setup, seed, Recipe(), device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]), peak_mib()
