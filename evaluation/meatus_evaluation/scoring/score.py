"""Two folders of label maps in, one score per case out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from meatus.engines import usable_threads
from meatus.errors import ScanError
from meatus.geometry import Geometry, nearest_labels, same_grid
from meatus.io.images import read_label_map
from meatus.report.measure import structure_masks
from meatus_evaluation.scoring.match import (
    EvaluationError,
    Pair,
    check_grids,
    match_folders,
    site_of,
)
from meatus_evaluation.scoring.measures import ASSD, MEASURES
from meatus_evaluation.scoring.structure_score import (
    COUNTS,
    StructureScore,
    as_failed,
    boundary_assd_mm,
    compare,
)
from meatus_evaluation.scoring.surface import EMPTY_MM, Mask, bounding_box

LabelMap = NDArray[np.uint8]
Scheme = Literal["2023", "2022"]

LABELS: dict[Scheme, dict[int, str]] = {
    "2023": {1: "extra-meatal VS", 2: "intra-meatal VS", 3: "cochlea"},
    "2022": {1: "VS", 2: "cochlea"},
}


@dataclass(frozen=True)
class CaseScore:
    """One case's scores by structure; those of a failure are of an empty prediction."""

    case: str
    site: str
    structures: dict[str, StructureScore]
    boundary_assd_mm: float | None  # None in scheme 2022, which has no such boundary
    failure: str | None = None  # why there was no prediction to score

    @property
    def dice(self) -> dict[str, float]:
        """Dice of the structures that at least one of the two maps has."""
        kept = self.structures.items()
        return {name: score.dice for name, score in kept if score.outcome != "absent"}

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, which ``score_tables`` reads too."""
        structures = {name: score.as_row() for name, score in self.structures.items()}
        return vars(self) | {"structures": structures}


def score_folders(
    predictions: Path,
    reference: Path,
    *,
    scheme: Scheme = "2023",
    resample: bool = False,
    recursive: bool = True,
    processes: int | None = None,
) -> list[CaseScore]:
    """Score every reference by its prediction, sorted by case; see ``match_folders`` for names.

    Missing and unreadable predictions are failures. Raises ``InferenceError`` in one line where
    the folders cannot be compared: names, references, or, unless ``resample``, another grid.
    """
    pairs = match_folders(predictions, reference, recursive=recursive).pairs
    return score_pairs(pairs, scheme=scheme, resample=resample, processes=processes)


def score_pairs(
    pairs: Sequence[Pair],
    *,
    scheme: Scheme = "2023",
    resample: bool = False,
    processes: int | None = None,
) -> list[CaseScore]:
    """Score each pair, in order, on all cores or ``processes`` of them. See ``score_folders``."""
    if not resample:
        check_grids(pairs)
    wanted = processes or usable_threads()
    workers = min(wanted, len(pairs))
    score = partial(score_case, scheme=scheme, resample=resample)
    if workers <= 1:
        return [score(pair) for pair in pairs]
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(pool.map(score, pairs))
    except BrokenProcessPool as error:
        raise EvaluationError(
            "a scoring process was ended from outside, most likely for want of memory. "
            "Use fewer processes."
        ) from error


def score_case(pair: Pair, *, scheme: Scheme = "2023", resample: bool = False) -> CaseScore:
    """Score one prediction. Raises ``InferenceError`` for what is wrong with the reference."""
    truth, grid = read_labels(pair.reference, scheme)
    found, failure = np.zeros_like(truth), None
    try:
        if pair.prediction is None:
            raise ScanError(f"{pair.case}: no prediction")
        found, own = read_labels(pair.prediction, scheme)
        if not same_grid(own, grid):
            if not resample:
                check_grids([pair])
            found = nearest_labels(found, own, grid)
    except ScanError as error:
        found, failure = np.zeros_like(truth), str(error)
    box = bounding_box(truth | found)
    given, wanted = (_masks(voxels[box], scheme) for voxels in (found, truth))
    spacing_mm = grid.spacing_mm
    scores = {name: compare(given[name], wanted[name], spacing_mm) for name in wanted}
    boundary = None
    if scheme == "2023":
        boundary = boundary_assd_mm(_parts(given), _parts(wanted), spacing_mm)
    if failure is not None:
        scores = {name: as_failed(score) for name, score in scores.items()}
        boundary = None if boundary is None else EMPTY_MM
    return CaseScore(pair.case, site_of(pair.case), scores, boundary, failure)


def read_labels(path: Path, scheme: Scheme) -> tuple[LabelMap, Geometry]:
    """A label map (Z, Y, X) and its grid.

    Raises ``ScanError`` where the file cannot be read or holds what is no label of the scheme.
    """
    advice = f"Pass a label map of the scheme {scheme}, or another --scheme."
    labels = read_label_map(path, {0: "background"} | LABELS[scheme], advice)
    return labels.voxels, labels.geometry


def failure_line(score: CaseScore) -> str:
    """The case and why it has no score of its own."""
    why = (score.failure or "").removeprefix(f"{score.case}: ")
    return f"{score.case}: {why.removesuffix('.')}. Scored as empty."


def table_text(scores: Sequence[CaseScore]) -> str:
    """CSV: a row per case and structure, and one per case for the boundary; empty: undefined."""
    file = io.StringIO()
    names = ["case", "site", "structure", *MEASURES, *COUNTS, "failure"]
    table = csv.DictWriter(file, names, restval="", lineterminator="\n")
    table.writeheader()
    for entry in scores:
        common = {"case": entry.case, "site": entry.site, "failure": entry.failure or ""}
        for name, score in entry.structures.items():
            table.writerow(common | {"structure": name} | score.as_row())
        if entry.boundary_assd_mm is not None:
            table.writerow(common | {"structure": "boundary", ASSD: entry.boundary_assd_mm})
    return file.getvalue()


def _masks(voxels: LabelMap, scheme: Scheme) -> dict[str, Mask]:
    if scheme == "2023":
        return structure_masks(voxels)
    return {"whole_vs": voxels == 1, "cochlea": voxels == 2}


def _parts(masks: dict[str, Mask]) -> tuple[Mask, Mask]:
    return masks["extra_meatal"], masks["intra_meatal"]
