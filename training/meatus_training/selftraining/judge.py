"""How good a round is, by the phantoms' truth, which nothing but this looks at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meatus.ensemble import Quality
from meatus.errors import InferenceError
from meatus.io.images import read_scan, write_labels
from meatus.pipeline import segment
from meatus.postprocess import Rules
from meatus.weights import read_manifest
from meatus_evaluation.report.files import write_json
from meatus_evaluation.scoring.score import score_folders
from meatus_evaluation.scoring.summary import as_json
from meatus_training.errors import TrainingError
from meatus_training.runs.run_context import RunContext
from meatus_training.runs.stage_records import file_key, key_of
from meatus_training.selftraining.pseudo_labels import load_teacher
from meatus_training.settings_files import settings_hash

RULES = Rules()  # a user's, whatever pseudo-labels are cleaned by
SHOWN = ("extra_meatal", "intra_meatal", "cochlea")


def label_and_score(
    scans: Mapping[str, Path],
    truth: Path,
    weights: Path,
    quality: Quality,
    folder: Path,
    context: RunContext,
) -> None:
    """Label the files of ``scans``, by name, on their own grids, and score that by ``truth``.

    The label maps in ``folder`` are those that a user of the weights would get. What is done and
    unchanged stays. Raises ``TrainingError`` as ``score`` does.
    """

    def job() -> None:
        _predict(scans, weights, quality, folder, context)
        context.fabric.barrier()
        if context.fabric.is_global_zero:
            score(folder, truth)

    inputs = file_key(*scans.values(), *sorted(truth.rglob("*.nii.gz")))
    key = key_of(weights_key(weights), settings_hash(RULES), quality, list(scans), inputs)
    context.carry_out(folder, key, job, makes=[scores_file(folder)])


def weights_key(folder: Path) -> str:
    """Of the networks in ``folder``."""
    return key_of([member.sha256 for member in read_manifest(folder).members])


def scores_file(predictions: Path) -> Path:
    """Where ``score`` writes what it finds."""
    return predictions.with_name(f"{predictions.name}.scores.json")


def _predict(
    scans: Mapping[str, Path],
    weights: Path,
    quality: Quality,
    folder: Path,
    context: RunContext,
) -> None:
    model, names = load_teacher(weights, quality, context.fabric), list(scans)
    for name in (names[number] for number in context.share(len(names))):
        file = folder / f"{name}.nii.gz"
        if not file.exists():
            context.check_stop(f"the prediction of {name}")
            found = segment(read_scan(scans[name]), model, RULES)
            write_labels(found.labels, file)


def score(predictions: Path, truth: Path, *, resample: bool = False) -> dict[str, Any]:
    """Means of Dice and ASSD (mm) per structure, as ``meatus score`` finds them.

    All numbers are written beside ``predictions``. Raises ``TrainingError`` where they cannot be
    scored, or the file not be written.
    """
    try:
        scores = as_json(score_folders(predictions, truth, resample=resample))
        write_json(scores_file(predictions), scores)
    except InferenceError as error:
        raise TrainingError(f"{predictions} cannot be scored by {truth}: {error}") from error
    return shortened(scores)


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
