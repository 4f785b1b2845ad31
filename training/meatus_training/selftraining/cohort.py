"""All real scans of a round: labelled one by one, kept on the disk, read back to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from meatus.atomic import write_whole
from meatus.ensemble import Model
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_phantom.array_files import array_bytes
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase
from meatus_training.runs.run_context import RunContext
from meatus_training.selftraining.label import Pseudo, pseudo_labels
from meatus_training.selftraining.repair import Change
from meatus_training.selftraining.select import Verdict
from meatus_training.selftraining.settings import SelftrainSettings

LABELS, VERDICT = ".labels.npy", ".verdict.json"
# Label maps to look at and to score, on the prepared grid: before and after the repair.
CLEANED, REPAIRED = "cleaned", "repaired"


@dataclass(frozen=True)
class Record:
    """What is known of a labelled scan; written last, so that its files are whole."""

    verdict: Verdict
    changes: tuple[Change, ...]


_RECORD = TypeAdapter(Record)


def label_cohort(
    cases: Sequence[PreparedCase],
    model: Model,
    settings: SelftrainSettings,
    folder: Path,
    context: RunContext,
) -> None:
    """Write the pseudo-labels of ``cases`` and what is thought of them to ``folder``.

    Scans that are there already stay; each process of ``context`` takes its share.
    """
    mine = [cases[number] for number in context.share(len(cases))]
    todo = [case for case in mine if not (folder / f"{case.name}{VERDICT}").exists()]
    for number, case in enumerate(todo, start=1):
        context.check_stop(f"the labelling of {case.name}")
        found = pseudo_labels(case.name, case.load_voxels(), case.geometry, model, settings)
        _write(found, case, folder)
        model.release()
        context.say(f"[{number}/{len(todo)}] {case.name}: {_in_words(found.selection.verdict)}")


def read_verdicts(cases: Sequence[PreparedCase], folder: Path) -> tuple[Verdict, ...]:
    """Of every case, in order. Raises ``TrainingError`` where one is missing."""
    return tuple(_read(folder / f"{case.name}{VERDICT}").verdict for case in cases)


def labels_file(case: PreparedCase, folder: Path) -> Path:
    """(Z, Y, X) uint8, ``IGNORE`` where the ensemble was unsure."""
    return folder / f"{case.name}{LABELS}"


def _write(found: Pseudo, case: PreparedCase, folder: Path) -> None:
    for kind, voxels in ((CLEANED, found.cleaned), (REPAIRED, found.repaired)):
        (folder / kind).mkdir(exist_ok=True)
        write_labels(
            Labels(np.ascontiguousarray(voxels), case.geometry),
            folder / kind / f"{case.name}.nii.gz",
        )
    write_whole(labels_file(case, folder), array_bytes(found.selection.labels))
    record = Record(found.selection.verdict, found.changes)
    write_whole(folder / f"{case.name}{VERDICT}", _RECORD.dump_json(record))


def _read(path: Path) -> Record:
    try:
        return _RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(
            f"{path}: cannot be read; delete {path.parent} and run the command again."
        ) from error


def _in_words(verdict: Verdict) -> str:
    if verdict.keep:
        return f"plausible, confidence {verdict.confidence:.2f}"
    return f"refused: {'; '.join(verdict.reasons)}"
