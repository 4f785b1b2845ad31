"""What the scores of many cases say together: per site and overall, per structure and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from meatus_evaluation.scoring.measures import ASSD, MEASURES
from meatus_evaluation.scoring.score import CaseScore

OVERALL = "all"
BOUNDARY = "boundary"

# Of the bootstrap (Efron & Tibshirani 1993, percentile method).
RESAMPLES, SEED, LEVEL = 2000, 2023, 0.95
BATCH = 500  # resamples held in memory at a time


@dataclass(frozen=True)
class Statistics:
    """Of one measure over ``count`` cases."""

    count: int
    mean: float
    sd: float | None  # of a sample (n - 1); None for one case
    median: float
    lower_quartile: float
    upper_quartile: float
    mean_low: float | None  # bootstrap interval of the mean; None for one case
    mean_high: float | None


@dataclass(frozen=True)
class Counts:
    """In how many cases a structure was found, missed and so on; ``false_positives`` are parts."""

    found: int
    missed: int
    false_positive: int  # the reference lacks it
    absent: int  # from both
    false_positives: int


@dataclass(frozen=True)
class GroupSummary:
    """One site, or all cases."""

    group: str
    cases: int
    failures: tuple[str, ...]  # the cases without a usable prediction, which count as empty
    measures: dict[str, dict[str, Statistics]]  # by structure, then measure
    counts: dict[str, Counts]  # by structure


def summarise(scores: Sequence[CaseScore], *, seed: int = SEED) -> list[GroupSummary]:
    """All cases first, then each site by name where there is more than one.

    A number counts for every case that has one: failures as empty predictions, and structures that
    neither map has as agreement. Only an undefined one is left out, such as a volume error in per
    cent of nothing; ``count`` tells.
    """
    sites = sorted({score.site for score in scores})
    groups = {OVERALL: list(scores)}
    if len(sites) > 1:
        groups |= {site: [score for score in scores if score.site == site] for site in sites}
    return [_group(name, members, seed) for name, members in groups.items()]


def summary(scores: Sequence[CaseScore]) -> dict[str, float]:
    """The mean Dice of each structure over the cases in which at least one map has it."""
    structures = list(dict.fromkeys(name for score in scores for name in score.dice))
    return {
        name: float(np.mean([score.dice[name] for score in scores if name in score.dice]))
        for name in structures
    }


def as_json(scores: Sequence[CaseScore], *, seed: int = SEED) -> dict[str, Any]:
    """Scores and summary as plain values for ``json.dumps``; undefined ones are None.

    ``cases`` is what ``score_tables`` reads.
    """
    return {
        "mean": summary(scores),
        "summary": [asdict(group) for group in summarise(scores, seed=seed)],
        "failures": {score.case: score.failure for score in scores if score.failure},
        "cases": [score.as_json() for score in scores],
    }


def statistics(values: Sequence[float], *, seed: int = SEED) -> Statistics:
    """Of at least one value; the bootstrap draws cases with replacement, always the same ones."""
    sample = np.asarray(values, dtype=np.float64)
    lower, median, upper = (float(q) for q in np.percentile(sample, [25, 50, 75]))
    low, high = _interval(sample, seed)
    return Statistics(
        count=sample.size,
        mean=float(sample.mean()),
        sd=float(sample.std(ddof=1)) if sample.size > 1 else None,
        median=median,
        lower_quartile=lower,
        upper_quartile=upper,
        mean_low=low,
        mean_high=high,
    )


def _interval(sample: NDArray[np.float64], seed: int) -> tuple[float | None, float | None]:
    """Of the mean; nothing can be said from one case."""
    if sample.size < 2:
        return None, None
    drawn = stats.bootstrap(
        (sample,),
        np.mean,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _group(name: str, scores: list[CaseScore], seed: int) -> GroupSummary:
    structures = list(dict.fromkeys(key for score in scores for key in score.structures))
    measures = {key: _measures(scores, key, seed) for key in structures}
    boundary = [s.boundary_assd_mm for s in scores if s.boundary_assd_mm is not None]
    if boundary:
        measures[BOUNDARY] = {ASSD: statistics(boundary, seed=seed)}
    return GroupSummary(
        group=name,
        cases=len(scores),
        failures=tuple(score.case for score in scores if score.failure is not None),
        measures=measures,
        counts={key: _counts(scores, key) for key in structures},
    )


def _measures(scores: list[CaseScore], structure: str, seed: int) -> dict[str, Statistics]:
    found = {}
    for measure in MEASURES:
        values = [score.structures[structure][measure] for score in scores]
        known = [value for value in values if value is not None]
        if known:
            found[measure] = statistics(known, seed=seed)
    return found


def _counts(scores: list[CaseScore], structure: str) -> Counts:
    of = [score.structures[structure] for score in scores]
    outcomes = [score.outcome for score in of]
    return Counts(
        found=outcomes.count("found"),
        missed=outcomes.count("missed"),
        false_positive=outcomes.count("false positive"),
        absent=outcomes.count("absent"),
        false_positives=sum(score.false_positives for score in of),
    )
