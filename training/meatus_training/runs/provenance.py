"""Where the scans came from that weights were trained on, in words that travel with them."""

from __future__ import annotations

from collections.abc import Sequence

from meatus.spec import NO_REAL_SCAN, Spec
from meatus_phantom.cohort.files import SETTINGS as COHORT
from meatus_training.prepare.cases import PreparedCase

LEVELS = 3  # folders above a scan: TrainingSource, crossmoda23_training, the cohort's own
NOT_CLINICAL = "not for clinical use"
RENDERED = f"windows of synthetic hrT2 phantoms, {NO_REAL_SCAN}; {NOT_CLINICAL}"


def is_phantom(case: PreparedCase) -> bool:
    """Whether the scan lies in a cohort of phantoms: their folders hold ``cohort.json``."""
    return any((folder / COHORT).is_file() for folder in case.scan.parents[:LEVELS])


def only_phantoms(cases: Sequence[PreparedCase]) -> bool:
    return bool(cases) and all(is_phantom(case) for case in cases)


def labelled(cases: Sequence[PreparedCase], kind: str) -> str:
    """What one network learnt from: ``cases``, with labels, as scans of that ``kind``."""
    if only_phantoms(cases):
        return f"{len(cases)} labelled {kind} synthetic phantoms, {NO_REAL_SCAN}; {NOT_CLINICAL}"
    return f"{len(cases)} labelled {kind} scans; {NOT_CLINICAL}"


def fine_tuned_from(learnt: str, earlier: Spec) -> tuple[str, tuple[str, ...]]:
    """``trained_on`` and ``history`` of weights that learnt from ``learnt`` and began as others.

    Only where neither they nor a forerunner saw a real scan does the first say so.
    """
    if NO_REAL_SCAN not in earlier.trained_on:
        learnt = learnt.replace(f", {NO_REAL_SCAN}", "")
    before = earlier.trained_on.replace(f"; {NOT_CLINICAL}", "")
    return learnt, (f"{earlier.name}: {before}", *earlier.history)


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
        return f"{text}, {NO_REAL_SCAN}; {NOT_CLINICAL}"
    return f"{text}{f', {drawn} of them synthetic phantoms' if drawn else ''}; {NOT_CLINICAL}"
