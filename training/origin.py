"""Where the scans came from that weights were trained on, in words that travel with them."""

from __future__ import annotations

from collections.abc import Sequence

from training.phantom.cohort_files import SETTINGS as COHORT
from training.prepare.cases import PreparedCase

LEVELS = 3  # folders above a scan: TrainingSource, crossmoda23_training, the cohort's own
NOT_CLINICAL = "not for clinical use"
PAINTED = f"synthetic hrT2 phantoms painted in training, no real scan; {NOT_CLINICAL}"


def is_phantom(case: PreparedCase) -> bool:
    """Whether the scan lies in a cohort of phantoms: their folders hold ``cohort.json``."""
    return any((folder / COHORT).is_file() for folder in case.scan.parents[:LEVELS])


def only_phantoms(cases: Sequence[PreparedCase]) -> bool:
    return bool(cases) and all(is_phantom(case) for case in cases)


def labelled(cases: Sequence[PreparedCase], kind: str) -> str:
    """What one network learnt from: ``cases``, with labels, as scans of that ``kind``."""
    if only_phantoms(cases):
        return f"{len(cases)} labelled {kind} synthetic phantoms, no real scan; {NOT_CLINICAL}"
    return f"{len(cases)} labelled {kind} scans; {NOT_CLINICAL}"


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
        return f"{text}, no real scan; {NOT_CLINICAL}"
    return f"{text}{f', {drawn} of them synthetic phantoms' if drawn else ''}; {NOT_CLINICAL}"
