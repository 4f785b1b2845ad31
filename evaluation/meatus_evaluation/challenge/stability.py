"""How much a result hangs on the cases that happened to be in it: the bootstrap over cases.

Cases are drawn with replacement, as many as there are (Efron 1979); for rankings as in
Wiesenfarth et al., Sci Rep 2021. Ranks within a case do not depend on the other cases, so that
a resampled mean is a weighted one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus_evaluation.challenge.ranking import ScoreCube, case_ranks, kendall_tau, places

Floats = NDArray[np.float64]

INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Bootstrap:
    repeats: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class TeamStability:
    cumulative_interval: tuple[float, float]  # 95 %, of the mean cumulative rank
    place_interval: tuple[float, float]
    place_shares: tuple[float, ...]  # share of resamples on place 1, 2, ...


@dataclass(frozen=True)
class Stability:
    """Over the resamples; teams in the order of the cube."""

    teams: tuple[TeamStability, ...]
    same_order: float  # share of resamples with the very order of all cases
    tau: float  # mean Kendall's tau to the order of all cases
    tau_interval: tuple[float, float]


def resampled_means(values: Floats, bootstrap: Bootstrap) -> Floats:
    """(resample, ...): means of ``values`` (case, ...) over cases drawn with replacement."""
    cases = len(values)
    rng = np.random.default_rng(bootstrap.seed)
    counts = rng.multinomial(cases, np.full(cases, 1 / cases), size=bootstrap.repeats)
    return np.asarray(np.tensordot(counts / cases, values, axes=1))


def interval(values: Floats | NDArray[np.int64]) -> tuple[float, float]:
    """The middle 95 % of the resampled ``values``."""
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)


def rank_stability(cube: ScoreCube, bootstrap: Bootstrap = Bootstrap()) -> Stability:
    """How the teams' places move when the cases are drawn anew."""
    cumulative = case_ranks(cube).mean(axis=2)  # (team, case)
    order = places(cumulative.mean(axis=1))
    means = resampled_means(cumulative.T, bootstrap)  # (resample, team)
    drawn = places(means)
    taus = np.array([kendall_tau(row, order) for row in drawn])
    known = taus[~np.isnan(taus)]
    return Stability(
        tuple(_of_team(means[:, team], drawn[:, team], len(order)) for team in range(len(order))),
        float(np.mean((drawn == order).all(axis=1))),
        float(known.mean()) if known.size else float("nan"),
        interval(known) if known.size else (float("nan"), float("nan")),
    )


def _of_team(means: Floats, drawn: NDArray[np.int64], teams: int) -> TeamStability:
    shares = np.bincount(drawn, minlength=teams + 1)[1:] / len(drawn)
    return TeamStability(interval(means), interval(drawn), tuple(shares.tolist()))
