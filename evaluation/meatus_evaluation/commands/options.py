"""Options that several commands have, and how a command ends: one line on stderr, an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import click

from meatus.ensemble import Quality
from meatus.errors import InferenceError, OutputError, printable
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus_evaluation.benchmark.batch import BatchFailedError
from meatus_evaluation.benchmark.children import ChildFailedError

ANY = click.Path(path_type=Path)  # whoever opens it tells what is wrong with it in one line

json_option = click.option("--json", "json_file", type=ANY, help="Write all numbers.")
scheme_option = click.option("--scheme", type=click.Choice(["2023", "2022"]), default=None)
bootstrap_option = click.option(
    "--bootstrap", type=click.IntRange(min=1), default=1000, show_default=True, help="Resamples."
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
resample_option = click.option(
    "--resample", is_flag=True, help="Put maps on another grid onto the reference's."
)
recursive_option = click.option(
    "--recursive/--no-recursive",
    default=True,
    show_default=True,
    help="Search sub-folders too; label maps are matched by path and case.",
)
weights_option = click.option("--weights", type=ANY, default=DEFAULT_WEIGHTS)
quality_option = click.option("--quality", type=click.Choice(get_args(Quality)), default=None)

# 0: all done. As for ``inference``.
BROKEN, NOTHING_DONE = 1, 2


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End with one line instead of a traceback where the user can put it right.

    A result that could not be written, or a batch that broke off, is work that was begun.
    """
    try:
        yield
    except InferenceError as error:
        say_error(str(error))
        begun = isinstance(error, BatchFailedError | ChildFailedError | OutputError)
        sys.exit(BROKEN if begun else NOTHING_DONE)


def say_error(text: str) -> None:
    """One line on stderr."""
    print(f"error: {printable(text)}", file=sys.stderr)
