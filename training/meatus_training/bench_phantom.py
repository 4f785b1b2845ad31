"""Seconds and memory of one phantom on this machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import torch

from meatus.engines import usable_threads
from meatus.geometry import Geometry
from meatus.timing import peak_mib
from meatus_phantom.acquisition.sites import SITES, draw_setup
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.generate import Recipe, render_case
from meatus_phantom.subject import draw_subject

GRID = Geometry((448, 448, 80), (0.5, 0.5, 1.0), (-111.75, -111.75, -39.5))  # about the ears


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
