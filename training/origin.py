"""Where the scans came from that weights were trained on, in words that travel with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.weights import MANIFEST
from training.manifest import NOTICE as PHANTOMS_ONLY
from training.manifest import write_manifest
from training.phantom.cohort_files import SETTINGS as COHORT
from training.prepare.cases import PreparedCase
from training.prepare.files import write_whole

LEVELS = 3  # folders above a scan: TrainingSource, crossmoda23_training, the cohort's own
NOT_CLINICAL = "not for clinical use"


def is_phantom(case: PreparedCase) -> bool:
    """Whether the scan lies in a cohort of phantoms: their folders hold ``cohort.json``."""
    return any((folder / COHORT).is_file() for folder in case.scan.parents[:LEVELS])


def only_phantoms(cases: Sequence[PreparedCase]) -> bool:
    return bool(cases) and all(is_phantom(case) for case in cases)


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


def notice(cases: Sequence[PreparedCase]) -> str:
    """What every user of the weights is told."""
    if only_phantoms([case for case in cases if case.split != "validation"]):
        return PHANTOMS_ONLY
    return f"Trained on {described(cases)}."


def write_weights_manifest(
    folder: Path, scores: dict[str, Any], cases: Sequence[PreparedCase]
) -> Path:
    """``manifest.json`` of ``folder``, with the notice that weights trained on ``cases`` need."""
    path = write_manifest(folder, scores)
    content = json.loads(path.read_text()) | {"notice": notice(cases)}
    write_whole(folder / MANIFEST, (json.dumps(content, indent=2) + "\n").encode())
    return path
