"""What the main job may take, and how good it must be, against what was measured.

The defaults of the budgets are what the method we start from took on an RTX A6000: 27 s a case and
5413 MiB of GPU memory (the second of crossMoDA 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from meatus_evaluation.benchmark.batch import Usage
    from meatus_evaluation.benchmark.ratios import Ratios

TOLERATED = 1.2  # times a stored ratio: more is a change that made the main job slower

Verdict = Literal["kept", "broken", "no budget", "not measured"]


@dataclass(frozen=True)
class Budgets:
    """None: measured and shown, never broken."""

    seconds: float | None = 27.0  # per case
    gpu_mib: float | None = 5413.0
    rss_mib: float | None = None
    dice: float | None = None  # at least; the mean over the cases, of each structure


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    name: str
    measured: float | None
    budget: float | None
    verdict: Verdict
    note: str = ""
    digits: int = 1  # behind the point, where it is shown


def check_budgets(usage: Usage, budgets: Budgets, *, require_gpu: bool = False) -> list[Line]:
    """One line per number.

    A budget for resident memory that was not seen is broken; one for GPU memory is so only where
    a GPU is required, as many machines have none.
    """
    rss, gpu = budgets.rss_mib, budgets.gpu_mib
    tree = "process tree" if usage.rss_mib else "its processes cannot be seen from here"
    whole = f"{usage.cases} case{'s' * (usage.cases > 1)}, start of the process included"
    return [
        Line("warm-up, s", usage.warm_up_s, None, "no budget", "one case, first run"),
        _line("per case, s", usage.seconds_per_case, budgets.seconds, whole),
        _line("peak resident memory, MiB", usage.rss_mib, rss, tree, needed=rss is not None),
        _line("peak GPU memory, MiB", usage.gpu_mib, gpu, usage.gpu_note, needed=require_gpu),
    ]


def check_accuracy(usage: Usage, budgets: Budgets) -> list[Line]:
    """One line per structure that the truth has; none where there was no truth."""
    least, cases = budgets.dice, f"at least; mean of {usage.cases}"
    return [
        Line(f"Dice, {name.replace('_', '-')}", dice, least, _floor(dice, least), cases, 3)
        for name, dice in usage.dice.items()
    ]


def check_ratios(found: Ratios, stored: Ratios) -> list[Line]:
    """Whether the main job takes more, beside work that stays the same, than the stored one."""
    parts = (
        ("network, in passes of one member", found.network, stored.network),
        ("other stages, in fixed work", found.other, stored.other),
    )
    return [
        _line(name, now, TOLERATED * then, f"{TOLERATED} times the stored {then:.2f}", digits=2)
        for name, now, then in parts
    ]


def is_broken(lines: list[Line]) -> bool:
    return any(line.verdict == "broken" for line in lines)


def _line(
    name: str,
    measured: float | None,
    budget: float | None,
    note: str,
    *,
    needed: bool = False,
    digits: int = 1,
) -> Line:
    """``needed``: not to have measured it breaks the budget."""
    verdict: Verdict = "no budget"
    if measured is None:
        verdict = "broken" if needed else "not measured"
    elif budget is not None:
        verdict = "kept" if measured <= budget else "broken"
    return Line(name, measured, budget, verdict, note, digits)


def _floor(measured: float, least: float | None) -> Verdict:
    if least is None:
        return "no budget"
    return "kept" if measured >= least else "broken"
