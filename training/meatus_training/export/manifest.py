"""The manifest of a weights folder: what each file is, and how to see that it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meatus.atomic import write_whole
from meatus.spec import NO_REAL_SCAN
from meatus.weights import MANIFEST, read_spec
from meatus_training.errors import TrainingError

NOT_CLINICAL = "Not for clinical use."
ABOUT = ("name", "version", "purpose", "judged_by", "limits")
PHANTOMS_ONLY = f"Trained on phantoms only, no real scan. {NOT_CLINICAL}"


def write_manifest(
    folder: Path,
    scores: dict[str, Any],
    made: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
) -> Path:
    """Name every ``.onnx`` of ``folder`` with its SHA-256, origin and measured ``scores``.

    ``scores`` maps a file name, or ``ensemble``, to what was measured, ``made`` a file name to
    seed, commands and whatever else it takes to make the file again. ``about`` is said of the set:
    some of ``ABOUT``, of which name and version are needed to install it. Raises ``TrainingError``
    where the folder holds no weights, scores or notes name an unknown file, or ``about`` has other
    entries.
    """
    made, about = made or {}, about or {}
    if unknown := set(about) - set(ABOUT):
        raise TrainingError(
            f"what is said of the set has {', '.join(sorted(unknown))}; expected some of "
            f"{', '.join(ABOUT)}."
        )
    files = sorted(folder.glob("*.onnx"))
    if not files:
        raise TrainingError(f"{folder} holds no .onnx file; export weights there first.")
    names = {file.name for file in files}
    for what, known, found in (
        ("scores", names | {"ensemble"}, scores),
        ("the notes on how they were made", names, made),
    ):
        if unknown := set(found) - known:
            raise TrainingError(f"{what} name {', '.join(sorted(unknown))}, not in {folder}.")
    specs = [read_spec(file) for file in files]
    members = [
        {
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "trained_on": spec.trained_on,
            "history": spec.history,
            "made": made.get(file.name, {}),
            "scores": scores.get(file.name, {}),
        }
        for file, spec in zip(files, specs, strict=True)
    ]
    manifest = {
        "format": 1,
        **{entry: about[entry] for entry in ABOUT if entry in about},
        "notice": notice([spec.origin for spec in specs]),
        "scores": scores.get("ensemble", {}),
        "members": members,
    }
    path = folder / MANIFEST
    write_whole(path, (json.dumps(manifest, indent=2) + "\n").encode())
    return path


def notice(origins: Sequence[str]) -> str:
    """What every user of the weights is told, from what each member was trained on."""
    if all(NO_REAL_SCAN in origin for origin in origins):
        return PHANTOMS_ONLY
    told = "; ".join(dict.fromkeys(origins)).rstrip(".")
    return f"Trained on {told}. {NOT_CLINICAL}"
