"""Two folders of label maps in, one table out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import dice, structure_masks
from inference.errors import InferenceError
from inference.geometry import Geometry
from inference.images import SUFFIXES, read_scan

REFERENCE_MARK = "_Label"

# Two grids are one where no corner lies further apart than this.
SAME_PLACE_MM = 0.01


class EvaluationError(InferenceError):
    """Two folders that cannot be compared."""


@dataclass(frozen=True)
class CaseScore:
    """Dice per structure of one case; a structure that neither map has is left out."""

    case: str
    dice: dict[str, float]


def score_folders(predictions: Path, reference: Path) -> list[CaseScore]:
    """Score each ``<case>_Label`` (or ``<case>``) of ``reference`` by its prediction.

    A missing prediction counts as an empty map. Raises ``EvaluationError`` where there is no
    reference, or a prediction lies on another grid.
    """
    references = {case: file for file in sorted(reference.iterdir()) if (case := _case(file))}
    if not references:
        raise EvaluationError(
            f"{reference} holds no label map named <case>{REFERENCE_MARK}.nii.gz."
        )
    found = {_stem(file): file for file in sorted(predictions.iterdir()) if _stem(file)}
    return [_score(case, found.get(case), file) for case, file in references.items()]


def summary(scores: list[CaseScore]) -> dict[str, float]:
    """The mean Dice of each structure over the cases that have it."""
    structures = list(dict.fromkeys(name for score in scores for name in score.dice))
    return {
        name: float(np.mean([score.dice[name] for score in scores if name in score.dice]))
        for name in structures
    }


def _stem(file: Path) -> str | None:
    ending = next((suffix for suffix in SUFFIXES if file.name.endswith(suffix)), None)
    return file.name.removesuffix(ending) if ending and not file.name.startswith(".") else None


def _case(file: Path) -> str | None:
    stem = _stem(file)
    return stem.removesuffix(REFERENCE_MARK) if stem and stem.endswith(REFERENCE_MARK) else None


def _score(case: str, prediction: Path | None, reference: Path) -> CaseScore:
    truth, grid = _read(reference)
    found = np.zeros_like(truth)
    if prediction is not None:
        found, own = _read(prediction)
        _check_grid(prediction, own, grid)
    wanted, given = structure_masks(truth), structure_masks(found)
    return CaseScore(
        case,
        {
            name: dice(given[name], wanted[name])
            for name in wanted
            if wanted[name].any() or given[name].any()
        },
    )


def _read(path: Path) -> tuple[NDArray[np.uint8], Geometry]:
    scan = read_scan(path)
    return scan.voxels.astype(np.uint8), scan.geometry


def _check_grid(path: Path, found: Geometry, expected: Geometry) -> None:
    last = tuple(count - 1 for count in expected.size)
    corners = [(0, 0, 0), (last[0], last[1], last[2])]
    apart = [
        np.abs(np.subtract(found.position_mm(c), expected.position_mm(c))).max() for c in corners
    ]
    if found.size != expected.size or max(apart) > SAME_PLACE_MM:
        raise EvaluationError(
            f"{path} lies on another grid than its reference: {found.size} voxels of "
            f"{found.spacing_mm} mm, expected {expected.size} of {expected.spacing_mm} mm."
        )
