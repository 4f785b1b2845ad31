"""The benchmarks as commands. Stopped by a signal, none leaves a process running."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from meatus.ensemble import Quality
from meatus.service.commands import one_line_errors
from meatus_evaluation.benchmark.children import no_child_left
from meatus_training.bench.engine_ways import measure_ways
from meatus_training.bench.published import run_bench
from meatus_training.bench.scaling import fits_in_words, measure_growth, write_growth

say = partial(print, flush=True)
WIDTH = 110

repeats_option = click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="After a warm-up."
)


@click.command()
@repeats_option
@click.option("--passes", type=click.IntRange(min=1), default=3, help="Of PyTorch's network.")
@click.option("--others", is_flag=True, help="Rows for nnU-Net and MONAI too, where installed.")
@one_line_errors
@no_child_left()
def bench(repeats: int, passes: int, others: bool) -> None:
    """Print seconds and memory of the main job beside the published pipeline's work."""
    table = Table("job", "s", "other stages, s", "peak MiB", "times faster")
    for row in run_bench(repeats, passes, say, others=others):
        table.add_row(
            row.job,
            f"{row.seconds:.1f}",
            *[
                "" if value is None else f"{value:.{digits}f}"
                for value, digits in ((row.other_seconds, 2), (row.peak_mib, 0), (row.ratio, 1))
            ],
        )
    Console(width=WIDTH).print(table)


@click.command("bench-scaling")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--quality", type=click.Choice(get_args(Quality)), default="fast", show_default=True)
@repeats_option
@one_line_errors
@no_child_left()
def bench_scaling(folder: Path, quality: Quality, repeats: int) -> None:
    """Time the main job on scans from 20 to 320 slices and from 256 to 1024 voxels along a side.

    Write speed.png and speed.json, the numbers that it shows, into FOLDER.
    """
    growth = measure_growth(quality, repeats, say)
    write_growth(folder, growth)
    for line in (growth.processor, *fits_in_words(growth)):
        say(line)


@click.command("bench-engines")
@click.argument("scan", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--calibrate",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of scans for int8 (needs nncf); without it, int8 is left out.",
)
@repeats_option
@one_line_errors
@no_child_left()
def bench_engines(scan: Path, calibrate: Path | None, repeats: int) -> None:
    """Label both flips of a window of SCAN in several ways, in turn; compare with today's."""
    table = Table("way", "s", "of today's time", "lowest Dice with today's labels")
    for row in measure_ways(scan, repeats, say, calibrate):
        table.add_row(row.name, f"{row.seconds:.2f}", f"{row.share:.2f}", f"{row.dice:.4f}")
    Console(width=WIDTH).print(table)
