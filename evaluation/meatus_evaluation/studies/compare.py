"""Two results on the same cases: is the second better, and where did it get worse?

Differences are B - A per case. Each structure and metric has its own Wilcoxon signed-rank test
(Wilcoxon 1945); p values are corrected for their number by Holm (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from meatus.errors import UsageError
from meatus_evaluation.ranking import Bootstrap, interval, resampled_means
from meatus_evaluation.scoring.score import Scheme, failure_line, score_folders
from meatus_evaluation.scoring.score_tables import Column, Score, read_scores, scores_of

Floats = NDArray[np.float64]
Values = dict[tuple[str, Column], float]  # by case and column

ROUNDING = 1e-12  # differences below are none: the same label map scored twice
COMPARED_METRICS = ("dice", "assd")
BOOTSTRAP = Bootstrap()


@dataclass(frozen=True)
class CaseChange:
    case: str
    before: float
    after: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """One structure and metric; differences are B - A."""

    column: Column
    pairs: tuple[CaseChange, ...]  # worst change first
    mean_a: float
    mean_b: float
    mean_difference: float
    median_difference: float
    difference_interval: tuple[float, float]  # bootstrap, 95 %, of the mean difference
    better: int  # cases in which B is better
    worse: int
    p: float  # Wilcoxon signed rank, two-sided; 1 where no case differs
    p_holm: float = 1.0

    def worst(self, number: int) -> tuple[CaseChange, ...]:
        """The cases that got worse most, at most ``number``."""
        return self.pairs[: min(number, self.worse)]


@dataclass(frozen=True)
class Compared:
    columns: tuple[Comparison, ...]
    cases: int  # that both have
    only_a: tuple[str, ...]  # cases that B lacks
    only_b: tuple[str, ...]
    unpaired: tuple[str, ...]  # "case: column" where one side has no number


@dataclass(frozen=True)
class Side:
    """One of the two results."""

    scores: tuple[Score, ...]
    failures: tuple[str, ...] = ()  # why there was no usable label map; scored as empty ones


def read_result(
    path: Path,
    reference: Path | None,
    scheme: Scheme = "2023",
    *,
    resample: bool = False,
    recursive: bool = True,
) -> Side:
    """One side: a score table of one team, or a folder of label maps.

    Raises ``UsageError`` where a folder comes without ``reference``, or a table has two teams.
    """
    if path.is_dir():
        if reference is None:
            raise UsageError(f"{path} is a folder of label maps: say --reference FOLDER too.")
        return _score_folder(path, reference, scheme, resample, recursive)
    scores = read_scores(path)
    teams = sorted({score.team for score in scores})
    if len(teams) > 1:
        raise UsageError(
            f"{path} holds {len(teams)} teams ({', '.join(teams)}); expected one. "
            "Split the table, one file for each team."
        )
    return Side(tuple(scores))


def _score_folder(
    predictions: Path, reference: Path, scheme: Scheme, resample: bool, recursive: bool
) -> Side:
    """The scores of a folder of label maps; missing ones count as empty predictions."""
    scored = score_folders(
        predictions, reference, scheme=scheme, resample=resample, recursive=recursive
    )
    scores = scores_of((entry.as_json() for entry in scored), predictions.name, str(predictions))
    failures = (f"{predictions}: {failure_line(entry)}" for entry in scored if entry.failure)
    return Side(tuple(scores), tuple(failures))


def compare(
    first: Sequence[Score],
    second: Sequence[Score],
    metrics: Sequence[str] = COMPARED_METRICS,
    bootstrap: Bootstrap = BOOTSTRAP,
) -> Compared:
    """Compare the numbers that both sides have; what one side lacks is listed.

    Raises ``UsageError`` where no case, or no structure and metric, is on both sides.
    """
    a, b = _values(first, metrics), _values(second, metrics)
    cases_a, cases_b = ({score.case for score in side} for side in (first, second))
    cases = cases_a & cases_b
    if not cases:
        raise UsageError(
            f"the two results have no case in common ({min(cases_a)} and {min(cases_b)}, for "
            "example). Compare results on the same cases."
        )
    columns = sorted({column for case, column in a.keys() & b.keys() if case in cases})
    if not columns:
        raise UsageError(f"the two results have no {' or '.join(metrics)} of a case in common.")
    found = [_compare_column(column, _pairs(a, b, column, cases), bootstrap) for column in columns]
    unpaired = sorted(f"{c}: {column}" for c, column in a.keys() ^ b.keys() if c in cases)
    return Compared(
        _corrected(found),
        len(cases),
        tuple(sorted(cases_a - cases_b)),
        tuple(sorted(cases_b - cases_a)),
        tuple(unpaired),
    )


def wilcoxon_p(differences: Floats) -> float:
    """Two-sided p of the signed-rank test; zeros are dropped, none left gives 1."""
    changed = differences[np.abs(differences) > ROUNDING]
    return float(stats.wilcoxon(changed).pvalue) if changed.size else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values (Holm, Scand J Stat 1979): the k-th smallest of m times m - k + 1.

    None is smaller than the adjusted value before it, nor larger than 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(p[order] * np.arange(p.size, 0, -1), 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(value) for value in adjusted]


def _values(scores: Sequence[Score], metrics: Sequence[str]) -> Values:
    return {
        (score.case, score.column): score.value
        for score in scores
        if score.column.metric in metrics and not np.isnan(score.value)
    }


def _pairs(a: Values, b: Values, column: Column, cases: set[str]) -> list[CaseChange]:
    """Pairs of one column, worst change first."""
    sign = 1 if column.higher_is_better else -1
    keys = sorted(key for key in a.keys() & b.keys() if key[1] == column and key[0] in cases)
    pairs = [CaseChange(key[0], a[key], b[key]) for key in keys]
    return sorted(pairs, key=lambda pair: sign * pair.difference)


def _compare_column(column: Column, pairs: list[CaseChange], bootstrap: Bootstrap) -> Comparison:
    differences = np.array([pair.difference for pair in pairs])
    gains = differences if column.higher_is_better else -differences
    return Comparison(
        column=column,
        pairs=tuple(pairs),
        mean_a=float(np.mean([pair.before for pair in pairs])),
        mean_b=float(np.mean([pair.after for pair in pairs])),
        mean_difference=float(differences.mean()),
        median_difference=float(np.median(differences)),
        difference_interval=interval(resampled_means(differences, bootstrap)),
        better=int(np.count_nonzero(gains > ROUNDING)),
        worse=int(np.count_nonzero(gains < -ROUNDING)),
        p=wilcoxon_p(differences),
    )


def _corrected(found: list[Comparison]) -> tuple[Comparison, ...]:
    adjusted = holm([entry.p for entry in found])
    return tuple(replace(e, p_holm=p) for e, p in zip(found, adjusted, strict=True))
