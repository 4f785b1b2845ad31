"""What the next round of self-training learns from, and a log of why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from meatus.atomic import write_whole
from meatus_training.selftraining.select import Verdict


@dataclass(frozen=True)
class RoundRules:
    """How many real scans join, and how often each kind is drawn."""

    shares: tuple[float, ...] = (0.7, 1.0)  # of the plausible cases, surest first; the last goes on
    real_weight: float = 1.0  # of all real scans together, against all translated ones
    fewest: int = 1  # plausible cases below which a round is not worth its time


@dataclass(frozen=True)
class Entry:
    """One scan to train on; ``weight`` is its chance to be drawn, all entries' sum being 1."""

    case: str
    origin: Literal["translated", "real"]
    weight: float


@dataclass(frozen=True)
class RoundPlan:
    """A round's training list, and the verdicts that made it."""

    number: int  # from 1
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]
    left_out: tuple[str, ...]  # plausible, but not among the surest

    @property
    def real(self) -> tuple[str, ...]:
        return tuple(entry.case for entry in self.entries if entry.origin == "real")


def compose(
    number: int,
    translated: Sequence[str],
    verdicts: Sequence[Verdict],
    rules: RoundRules = RoundRules(),
) -> RoundPlan:
    """The training list of round ``number`` from all translated cases and the surest real ones.

    The order of the arguments does not matter: cases are listed by name, and equally sure
    ones go by name too. With fewer than ``fewest`` plausible cases it is the translated ones only.

    Raises ``ValueError`` where a case is named twice or there is nothing to train on.
    """
    names = [*translated, *(verdict.case for verdict in verdicts)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(twice)}")
    plausible = sorted((v for v in verdicts if v.keep), key=lambda v: (-v.confidence, v.case))
    count = joining(number, len(plausible), rules)
    chosen = sorted(verdict.case for verdict in plausible[:count])
    if not translated and not chosen:
        raise ValueError(f"round {number}: no translated scan and no plausible prediction")
    real = rules.real_weight / (1 + rules.real_weight) if translated else 1.0
    rest = 1 - real if chosen else 1.0
    return RoundPlan(
        number=number,
        entries=(
            *(Entry(case, "translated", rest / len(translated)) for case in sorted(translated)),
            *(Entry(case, "real", real / len(chosen)) for case in chosen),
        ),
        verdicts=tuple(sorted(verdicts, key=lambda v: v.case)),
        left_out=tuple(sorted(verdict.case for verdict in plausible[count:])),
    )


def joining(number: int, plausible: int, rules: RoundRules) -> int:
    """Of so many ``plausible`` scans, how many join round ``number``."""
    share = rules.shares[min(number, len(rules.shares)) - 1]
    return -int(-plausible * share // 1) if plausible >= rules.fewest else 0


def log_lines(plan: RoundPlan) -> list[str]:
    """One JSON object a line: the round as a whole, then each real case."""
    chosen, left_out = set(plan.real), set(plan.left_out)
    whole = {
        "round": plan.number,
        "translated": len(plan.entries) - len(chosen),
        "real": len(chosen),
        "left_out": len(left_out),
        "rejected": len(plan.verdicts) - len(chosen) - len(left_out),
    }
    fates = (
        "used" if v.case in chosen else "left out" if v.case in left_out else "rejected"
        for v in plan.verdicts
    )
    rows = [
        {"round": plan.number, "fate": fate, **asdict(verdict)}
        for fate, verdict in zip(fates, plan.verdicts, strict=True)
    ]
    return [json.dumps(row, allow_nan=False) for row in (whole, *rows)]


def write_log(plan: RoundPlan, folder: Path) -> Path:
    """Write ``folder/round_<number>.jsonl`` whole; a repeated round replaces its own log."""
    file = folder / f"round_{plan.number}.jsonl"
    write_whole(file, ("\n".join(log_lines(plan)) + "\n").encode())
    return file
