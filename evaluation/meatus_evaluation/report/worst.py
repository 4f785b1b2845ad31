"""Which cases came out worst."""

from __future__ import annotations

from collections.abc import Sequence

from meatus_evaluation.ranking import RANKED_STRUCTURES
from meatus_evaluation.scoring.score import CaseScore, Scheme


def worst_first(scores: Sequence[CaseScore]) -> list[CaseScore]:
    """Failures, then by mean Dice of the ranked structures, then by the sum of their ASSD."""

    def badness(entry: CaseScore) -> tuple[bool, float, float, str]:
        distance = sum(entry.structures[name].assd_mm for name in _ranked(entry))
        return entry.failure is None, mean_dice(entry), -distance, entry.case

    return sorted(scores, key=badness)


def mean_dice(entry: CaseScore) -> float:
    """Over the structures that the challenge ranks; the whole tumour would count twice."""
    names = _ranked(entry)
    return sum(entry.structures[name].dice for name in names) / len(names)


def scheme_of(entry: CaseScore) -> Scheme:
    return "2023" if "extra_meatal" in entry.structures else "2022"


def _ranked(entry: CaseScore) -> tuple[str, ...]:
    return RANKED_STRUCTURES[scheme_of(entry)]
