"""Processes that paint phantoms beside trainings, until these end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import click
import torch

from inference.engines import usable_threads
from training.errors import TrainingError
from training.parallel import in_parallel, one_thread_each, start_worker
from training.phantom.cli import device_for
from training.segmentation.painted import Canvas

ADVICE = "--paint-on cpu"  # where there is no GPU
NICENESS = 5  # a training that waits for the processor costs more than a scan that comes later


def painters_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--painters``, by default all processors but one, and ``--paint-on``."""
    command = click.option(
        "--paint-on",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="What painters paint on.",
    )(command)
    return click.option(
        "--painters",
        type=click.IntRange(min=0),
        default=lambda: max(usable_threads() - 1, 1),
        help="Processes that paint phantoms; 0: only those that are there already.",
    )(command)


@contextmanager
def painting(canvas: Canvas, painters: int, device: str = "cpu") -> Iterator[None]:
    """While the block runs, ``painters`` processes fill ``canvas`` on ``device``.

    Painter k of N takes numbers k, k + N and so on; what was painted before stays. Raises
    ``TrainingError`` where there is no such device.
    """
    device = device_for(device, ADVICE)
    context = get_context("spawn")  # a forked process would inherit torch's threads half-dead
    processes: list[BaseProcess] = [
        context.Process(target=_paint_on, args=(canvas, number, painters, device), daemon=True)
        for number in range(painters)
    ]
    with one_thread_each():
        for process in processes:
            process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()  # scans are written whole: nothing is left half-done
            process.join()


def paint_ahead(canvas: Canvas, scans: int, painters: int, device: str = "cpu") -> int:
    """Paint numbers 0 to ``scans``, as far as they are not there; returns how many were made.

    Raises ``TrainingError`` where there is no such device, a painter is killed, or the disk
    refuses.
    """
    job = partial(_paint_one, canvas, device_for(device, ADVICE))
    with one_thread_each():
        return sum(made for _, made in in_parallel(job, range(scans), painters))


def _paint_one(canvas: Canvas, device: str, number: int) -> bool:
    torch.set_num_threads(1)
    return canvas.paint(number, torch.device(device))


def _paint_on(canvas: Canvas, first: int, step: int, device: str) -> None:
    start_worker()
    os.nice(NICENESS)
    for number in count(first, step):
        try:
            _paint_one(canvas, device, number)
        except TrainingError as error:
            print(f"error: a painter stopped: {error}", file=sys.stderr)
            return
