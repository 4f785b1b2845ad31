"""Single measurements: the main job, and the drawing of a phantom, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from meatus.engines import usable_threads
from meatus.geometry import Geometry, axial, resample
from meatus.timing import peak_mib
from meatus_evaluation.benchmark.children import output_of
from meatus_phantom.acquisition.sites import SITES, draw_setup
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.generate import Case, Recipe, render_case
from meatus_phantom.subject import draw_subject

Spacing = tuple[float, float, float]

CASE = 1  # the phantom that is timed: a coarse look is sure of its ears; of case 0's it is not
GRID = Geometry((448, 448, 80), (0.5, 0.5, 1.0), (-111.75, -111.75, -39.5))  # about the ears


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    job: str
    seconds: float
    other_seconds: float | None  # all stages but the network
    peak_mib: float | None
    ratio: float | None  # published work over this


def time_job(job: str, scan: Path, weights: Path, quality: str, repeats: int) -> Row:
    """Medians of ``repeats`` runs after a warm-up, and the process's peak.

    Raises ``ChildFailedError`` where the job fails.
    """
    command = [sys.executable, "-m", "meatus", "stages", str(scan), "--weights", str(weights)]
    command += ["--device", "cpu", "--quality", quality, "--repeats", str(repeats)]
    measured = json.loads(output_of(command, job))
    total = sum(measured["seconds"].values())
    return Row(job, total, total - measured["seconds"]["network"], measured["peak_mib"], None)


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


def time_phantom(repeats: int) -> tuple[float, float | None]:
    """Median seconds for 80 x 448 x 448 voxels after a warm-up, and the process's peak in MiB."""
    command = [sys.executable, "-m", __name__, str(repeats)]
    seconds, peak = json.loads(output_of(command, "one phantom"))
    return seconds, peak


def draw_phantoms(repeats: int) -> tuple[float, float | None]:
    """As ``time_phantom``, in this process."""
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


if __name__ == "__main__":
    print(json.dumps(draw_phantoms(int(sys.argv[1]))))
