"""Where the scans came from that weights were trained on, in words that travel with them."""

from __future__ import annotations

from collections.abc import Sequence

from meatus_phantom.cohort.files import SETTINGS as COHORT
from meatus_training.prepare.cases import PreparedCase

LEVELS = 3  # folders above a scan: TrainingSource, crossmoda23_training, the cohort's own
NOT_CLINICAL = "not for clinical use"
NO_REAL = "no real scan"
RENDERED = f"windows of synthetic hrT2 phantoms, {NO_REAL}; {NOT_CLINICAL}"


def is_phantom(case: PreparedCase) -> bool:
    """Whether the scan lies in a cohort of phantoms: their folders hold ``cohort.json``."""
    return any((folder / COHORT).is_file() for folder in case.scan.parents[:LEVELS])


def only_phantoms(cases: Sequence[PreparedCase]) -> bool:
    return bool(cases) and all(is_phantom(case) for case in cases)


def labelled(cases: Sequence[PreparedCase], kind: str) -> str:
    """What one network learnt from: ``cases``, with labels, as scans of that ``kind``."""
    if only_phantoms(cases):
        return f"{len(cases)} labelled {kind} synthetic phantoms, {NO_REAL}; {NOT_CLINICAL}"
    return f"{len(cases)} labelled {kind} scans; {NOT_CLINICAL}"


def fine_tuned_from(learnt: str, earlier: str, name: str) -> str:
    """What weights learnt from that began as those called ``name``; both as told here.

    Only where neither saw a real scan does the result say so; it says that first, since what is
    shown to readers is cut where it gets long.
    """
    unreal = f", {NO_REAL}" if NO_REAL in learnt and NO_REAL in earlier else ""
    last, first = (
        text.replace(f", {NO_REAL}", "").replace(f"; {NOT_CLINICAL}", "")
        for text in (learnt, earlier)
    )
    return f"{last}{unreal}; {NOT_CLINICAL}; fine-tuned from {name} ({first})"


def described(cases: Sequence[PreparedCase]) -> str:
    """What ``cases`` are, for the metadata of weights; of phantoms it says so, and no more."""
    learnt = [case for case in cases if case.split != "validation"]
    kind = "synthetic phantoms" if only_phantoms(learnt) else "scans"
    counts = [
        f"{sum(case.split == split for case in learnt)} {name}"
        for split, name in (("source", "labelled ceT1"), ("target", "unlabelled hrT2"))
    ]
    text = f"{' and '.join(counts)} {kind}"
    drawn = sum(is_phantom(case) for case in learnt)
    if kind == "synthetic phantoms":
        return f"{text}, {NO_REAL}; {NOT_CLINICAL}"
    return f"{text}{f', {drawn} of them synthetic phantoms' if drawn else ''}; {NOT_CLINICAL}"
