"""Parse, call, report; the only module here that knows click, rich and the environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inference import __version__
from inference.cases import find_cases, make_output
from inference.engines import Device, availability, usable_threads
from inference.ensemble import EIGHT_FLIPS, Model, Quality
from inference.errors import InferenceError
from inference.jobs import OnError, Outcome, run_cases
from inference.pipeline import DEFAULT_WEIGHTS, load_model, segment, segment_by_vote
from inference.postprocess import Rules
from inference.weights import describe

NOTICE = "research software, not for clinical use"
SOME_FAILED, NOTHING_STARTED = 1, 2

say = partial(print, flush=True)  # to stdout; stderr is for errors alone

weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=DEFAULT_WEIGHTS,
    envvar="MEATUS_WEIGHTS",
    help="Folder with manifest.json, or one .onnx file. Default: the weights shipped.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meatus")
def main() -> None:
    """Find vestibular schwannoma and cochlea in hrT2 MRI. Not for clinical use."""


@main.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path), default="/input")
@click.argument("output", type=click.Path(path_type=Path), default="/output")
@weights_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "tensorrt"]),
    default="auto",
    envvar="MEATUS_DEVICE",
    show_default=True,
)
@click.option(
    "--quality",
    type=click.Choice(["fast", "standard", "full"]),
    default=None,
    help="One member; all members, left-right flip; all members, eight flips. "
    "Default: full on a GPU, standard on a CPU.",
)
@click.option("--tumours", type=click.Choice(["one", "all"]), default="one", show_default=True)
@click.option(
    "--fusion",
    type=click.Choice(["mean", "vote"]),
    default="mean",
    show_default=True,
    help="Average probabilities, or vote on the labels of eight flips as published.",
)
@click.option("--resume", is_flag=True, help="Skip cases whose result exists.")
@click.option(
    "--on-error",
    type=click.Choice(["fail", "empty"]),
    default="fail",
    show_default=True,
    help="What a failed case leaves: nothing, or an all-background map.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=None,
    envvar="MEATUS_CACHE",
    help="Folder for compiled networks; makes later starts faster.",
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Default: all usable.")
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
def predict(
    source: Path,
    output: Path,
    weights: Path,
    device: Device,
    quality: Quality | None,
    tumours: Literal["one", "all"],
    fusion: Literal["mean", "vote"],
    resume: bool,
    on_error: OnError,
    cache: Path | None,
    threads: int | None,
    debug: bool,
) -> None:
    """Label every scan in INPUT (a folder or one file) and write <case>.nii.gz to OUTPUT."""
    with _one_line_errors(debug):
        cases = find_cases(source, output)
        make_output(output)
        todo = [case for case in cases if not (resume and case.result.exists())]
        model = load_model(
            weights, device=device, quality=quality, threads=threads, cache=cache, say=say
        )
    for line in _start_lines(model, weights, fusion, len(cases), len(todo)):
        say(line)
    work = segment_by_vote if fusion == "vote" else partial(segment, rules=Rules(tumours=tumours))
    outcomes = run_cases(todo, lambda scan: work(scan, model), model.release, on_error)
    failed = _report(outcomes, len(todo), debug)
    say(f"{len(todo) - failed} of {len(todo)} cases done" + f", {failed} failed" * bool(failed))
    sys.exit(SOME_FAILED if failed else 0)


@main.command()
@weights_option
@click.option("--debug", is_flag=True, help="Show the traceback behind an error.")
def info(weights: Path, debug: bool) -> None:
    """Print version, engines usable here and why others are not, weights and their origin."""
    say(f"meatus {__version__}: {NOTICE}")
    say(f"processors usable: {usable_threads()}")
    for engine in availability():
        say(f"{'+' if engine.usable else '-'} {engine.name}: {engine.detail}")
    with _one_line_errors(debug):
        for line in describe(weights):
            say(line)


@contextmanager
def _one_line_errors(debug: bool) -> Iterator[None]:
    """End with one line on stderr and exit code 2 where nothing could start."""
    try:
        yield
    except InferenceError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(NOTHING_STARTED)


def _start_lines(model: Model, weights: Path, fusion: str, cases: int, todo: int) -> Iterator[str]:
    flips = len(EIGHT_FLIPS) if fusion == "vote" else len(model.flips)
    yield f"meatus {__version__}: {NOTICE}"
    yield f"weights: {weights}, trained on {model.spec.trained_on}"
    yield (
        f"quality: {model.quality}, {len(model.members)} member(s) x {flips} flip(s), "
        f"fused by {fusion}, on {model.members[0].name}"
    )
    yield f"cases: {cases}" + (f", {cases - todo} already done" if todo < cases else "")


def _report(outcomes: Iterable[Outcome], total: int, debug: bool) -> int:
    """Tell what became of each case, with a bar on a terminal; the number that failed."""
    failed = 0
    with _progress(total) as advance:
        for number, outcome in enumerate(outcomes, 1):
            if outcome.error is None:
                advance(f"[{number}/{total}] {outcome.case.name}: {outcome.seconds:.1f} s")
                continue
            failed += 1
            advance(f"[{number}/{total}] {outcome.case.name}: failed")
            print(f"error: {outcome.case.name}: {outcome.error}", file=sys.stderr, flush=True)
            if debug:
                print(outcome.details, file=sys.stderr, flush=True)
    return failed


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A function that takes a case's line: a bar with time left on a terminal, else lines."""
    if not sys.stdout.isatty():
        yield say
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("time left"), TimeRemainingColumn())
    with Progress(*columns, console=Console()) as bar:
        task = bar.add_task("cases", total=total)

        def advance(line: str) -> None:
            bar.console.print(line, highlight=False, markup=False)
            bar.advance(task)

        yield advance
