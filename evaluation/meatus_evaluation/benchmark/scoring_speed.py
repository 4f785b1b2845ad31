"""How long one large case takes to score, and how long MedPy takes for a part of the same.

Seconds are of the processor, summed over threads, so that they are those of one core and other
work on the machine does not count.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from medpy.metric import binary as medpy
from numpy.typing import NDArray

from meatus.geometry import Geometry
from meatus.io.images import read_grid, write_labels
from meatus.report.measure import structure_masks
from meatus.volumes import Labels
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.score import CaseScore, score_case

LIMIT_S = 1.5

LabelMap = NDArray[np.uint8]
Triple = tuple[float, float, float]
Timed = tuple[float, float]  # a measure and the seconds it took
Result = TypeVar("Result")

# The largest hrT2 grid of London, with a tumour of some 14 cm3.
GRID = Geometry((448, 448, 80), (0.4, 0.4, 1.0), (0, 0, 0))
# Middle and half axes of each ellipsoid (x, y, z) in mm; later ones are drawn over earlier ones.
ELLIPSOIDS: tuple[tuple[int, Triple, Triple], ...] = (
    (2, (62, 90, 40), (12, 4, 5)),
    (1, (78, 90, 40), (15, 14, 16)),
    (3, (48, 84, 40), (4, 3, 3)),
    (3, (122, 84, 40), (4, 3, 3)),
)
SHIFT = (1, 2, -1)  # voxels (z, y, x) from the reference to the prediction


@dataclass(frozen=True)
class Times:
    """Median of ours, one run of MedPy's."""

    ours_s: float  # from two files to all measures of all structures
    medpy_s: float  # Dice and ASSD of the three structures, from arrays that are read already
    largest_difference: float  # between both tools' Dice and ASSD

    def lines(self) -> list[str]:
        x, y, z = GRID.size
        return [
            f"one case of {x} x {y} x {z} voxels, seconds of one core:",
            f"all measures of all structures, from the files: {self.ours_s:.2f} s",
            f"MedPy, Dice and ASSD of three structures, files read before: {self.medpy_s:.2f} s "
            f"({self.medpy_s / self.ours_s:.0f} times)",
            f"largest difference of a Dice or an ASSD: {self.largest_difference:.1e}",
        ]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def time_scoring(repeats: int) -> Times:
    """Score the same case ``repeats`` times, then let MedPy do the challenge's part of it."""
    truth = large_case()
    found = np.roll(truth, SHIFT, axis=(0, 1, 2))
    found[0, 0, 0] = found[-1, -1, -1] = 1  # strays in opposite corners: no box is small
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = Pair("large", folder / "large_Label.nii.gz", folder / "large.nii.gz")
        write_labels(Labels(truth, GRID), pair.reference)
        write_labels(Labels(found, GRID), folder / "large.nii.gz")
        runs = [_timed(partial(score_case, pair)) for _ in range(repeats + 1)][1:]  # a warm-up
        grid = read_grid(pair.reference)[0]  # NIfTI rounds spacings to float32
    theirs = _medpy_scores(found, truth, grid.spacing_mm[::-1])
    return Times(
        ours_s=statistics.median(seconds for _, seconds in runs),
        medpy_s=sum(seconds for _, seconds in theirs.values()),
        largest_difference=_difference(runs[0][0], theirs),
    )


def large_case() -> LabelMap:
    """(Z, Y, X) of ``GRID``: a tumour of two parts and two cochleas."""
    axes = (np.arange(n) * mm for n, mm in zip(GRID.size, GRID.spacing_mm, strict=True))
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    labels = np.zeros(GRID.size, dtype=np.uint8)
    for label, (cx, cy, cz), (rx, ry, rz) in ELLIPSOIDS:
        labels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 <= 1] = label
    return np.ascontiguousarray(labels.T)


def _medpy_scores(
    found: LabelMap, truth: LabelMap, spacing_zyx_mm: Triple
) -> dict[tuple[str, str], Timed]:
    """The challenge's measures, by structure and name."""
    given, wanted = structure_masks(found), structure_masks(truth)
    scores: dict[tuple[str, str], Timed] = {}
    for name in ("extra_meatal", "intra_meatal", "cochlea"):
        masks = given[name], wanted[name]
        scores[name, "dice"] = _timed(partial(medpy.dc, *masks))
        scores[name, "assd_mm"] = _timed(partial(medpy.assd, *masks, spacing_zyx_mm))
    return scores


def _difference(score: CaseScore, theirs: dict[tuple[str, str], Timed]) -> float:
    return max(
        abs(float(score.structures[name][measure] or 0) - value)
        for (name, measure), (value, _) in theirs.items()
    )


def _timed(job: Callable[[], Result]) -> tuple[Result, float]:
    start = time.process_time()
    result = job()
    return result, time.process_time() - start
