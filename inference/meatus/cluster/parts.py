"""Which share of the cases one of several equal commands takes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from meatus.errors import UsageError
from meatus.service.request import Part

SLURM = "SLURM_ARRAY_TASK_"


def parse_part(text: str) -> Part:
    """Of ``3/16``. Raises ``ValueError``."""
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text, re.ASCII)
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= of:
        raise ValueError(f"{text!r}; expected a number and of how many, as 3/16, from 1/16 on")
    return Part(number, of)


def part_of_array(environment: Mapping[str, str]) -> Part | None:
    """The part of a task of Slurm's job array; None outside of one.

    Tasks may be numbered from any number and by any step. Raises ``UsageError`` where they are
    not evenly numbered, as no task can know then which of them it is.
    """
    names = ("ID", "COUNT", "MIN", "MAX")
    told = {name: environment.get(f"{SLURM}{name}", "") for name in names}
    if not told["ID"]:
        return None
    try:
        task, count, first, last = (int(told[name] or told["ID"]) for name in names)
        step = (last - first) // (count - 1) if count > 1 else 1
        place, rest = divmod(task - first, step)
        even = not rest and first + step * (count - 1) == last and 0 <= place < count
    except (ValueError, ZeroDivisionError):
        even = False
    if not even:
        shown = ", ".join(f"{name} {value or 'not set'}" for name, value in told.items())
        raise UsageError(
            f"the tasks of this Slurm array are not evenly numbered ({shown}), so that they cannot "
            "tell which cases are theirs. Number them as 1-16, or pass --part."
        )
    return Part(place + 1, count, f"task {task} of Slurm's array; --part 1/1 takes all")
