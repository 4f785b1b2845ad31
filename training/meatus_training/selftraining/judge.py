"""How good a round is, by the phantoms' truth, which nothing but this looks at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meatus.images import read_scan, write_labels
from meatus.pipeline import segment
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase
from meatus_training.runs.run_context import RunContext
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.selftraining.teacher import load_teacher

SHOWN = ("extra_meatal", "intra_meatal", "cochlea")


def predict_scans(
    cases: Sequence[PreparedCase],
    weights: Path,
    settings: SelftrainSettings,
    folder: Path,
    context: RunContext,
) -> None:
    """Label the scans' files on their own grids, as a user of the weights would."""
    model = load_teacher(weights, settings.quality)
    for number in context.share(len(cases)):
        file = folder / f"{cases[number].name}.nii.gz"
        if not file.exists():
            context.check_stop(f"the prediction of {cases[number].name}")
            write_labels(segment(read_scan(cases[number].scan), model, settings.clean), file)


def score(predictions: Path, truth: Path, *, resample: bool = False) -> dict[str, Any]:
    """Means of Dice and ASSD (mm) per structure, by ``meatus score``.

    A process of its own: training does not import what judges it. Raises ``TrainingError`` with
    its last words where it cannot score.
    """
    out = predictions.with_name(f"{predictions.name}.scores.json")
    command = [sys.executable, "-m", "meatus", "score", predictions, truth, "--json", out]
    ended = subprocess.run(
        [str(part) for part in [*command, *(["--resample"] if resample else [])]],
        capture_output=True,
        text=True,
    )
    if ended.returncode not in (0, 1) or not out.exists():
        said = ended.stderr.strip().splitlines() or ["no word"]
        raise TrainingError(f"{predictions} cannot be scored by {truth}: {said[-1]}")
    return shortened(json.loads(out.read_text()))


def shortened(scores: dict[str, Any]) -> dict[str, Any]:
    """Of all that the evaluation tells the means over all cases."""
    overall = scores["summary"][0]["measures"]
    return {
        structure: {
            measure: round(float(measures[measure]["mean"]), 4)
            for measure in ("dice", "assd_mm")
            if measure in measures
        }
        for structure, measures in overall.items()
    }


def in_words(scores: dict[str, Any]) -> str:
    """Dice of the three structures, for a line of progress."""
    parts = [f"{scores[name]['dice']:.3f}" for name in SHOWN if "dice" in scores.get(name, {})]
    return f"Dice {' / '.join(parts)} (extra-meatal / intra-meatal / cochlea)"
