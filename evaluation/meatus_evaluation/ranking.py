"""The official ranking of crossMoDA, rank per case, then average the ranks; and how sure it is.

Per case, structure and metric the teams are ranked; ties get the minimum rank, 1 + the number
of better teams. The mean over structures and metrics is the case's cumulative rank, the mean of
that over the cases the team's score; the lowest wins (Dorent et al., Med Image Anal 2023).

How much a result hangs on the cases that happened to be in it is told by the bootstrap over cases:
they are drawn with replacement, as many as there are (Efron 1979); for rankings as in Wiesenfarth
et al., Sci Rep 2021. Ranks within a case do not depend on the other cases, so that a resampled mean
is a weighted one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from meatus.errors import UsageError
from meatus_evaluation.scoring.score import Scheme
from meatus_evaluation.scoring.score_tables import Column, Score

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RANKED_METRICS = ("dice", "assd")
RANKED_STRUCTURES: dict[Scheme, tuple[str, ...]] = {
    "2023": ("extra_meatal", "intra_meatal", "cochlea"),
    "2022": ("whole_vs", "cochlea"),
}
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class ScoreCube:
    """All teams' scores; teams and cases in the tables' order, failures as empty predictions."""

    teams: tuple[str, ...]
    cases: tuple[str, ...]
    sites: tuple[str, ...]  # of each case
    columns: tuple[Column, ...]
    values: Floats  # (team, case, column)
    failures: tuple[tuple[str, str], ...]  # (team, case) where at least one score was missing


@dataclass(frozen=True)
class Standing:
    """A part's ranking: places and mean cumulative ranks, in the order of the cube's teams."""

    part: str  # "overall", or the structure, metric, "structure metric" or site
    cumulative: tuple[float, ...]
    places: tuple[int, ...]
    cases: int
    tau: float  # Kendall's, of this order to the overall one; NaN where a side ties all teams


def score_cube(scores: Sequence[Score], scheme: Scheme | None = None) -> ScoreCube:
    """The ranked columns of all tables, one value for each team, case and column.

    A score that a team lacks for a case that another team has is a failure, scored as the
    challenge scores an empty prediction: Dice 0, ASSD 350 mm. Raises ``UsageError`` where the
    tables hold fewer than two teams, tell a number twice, lack a column, or share no case.
    """
    _check_once(scores)
    columns = _columns({score.column for score in scores}, scheme)
    teams = tuple(dict.fromkeys(score.team for score in scores))
    _check_teams(scores, teams)
    sites = {score.case: score.site for score in scores}
    cases = tuple(sites)
    values = np.full((len(teams), len(cases), len(columns)), np.nan)
    place = {name: number for number, name in enumerate(cases)}
    team_number = {name: number for number, name in enumerate(teams)}
    for score in scores:
        if score.column in columns:
            at = team_number[score.team], place[score.case], columns.index(score.column)
            values[at] = score.value
    missing = np.isnan(values)
    failures = tuple((teams[t], cases[k]) for t, k in np.argwhere(missing.any(axis=2)))
    filled = np.where(missing, [column.of_empty for column in columns], values)
    return ScoreCube(teams, cases, tuple(sites.values()), columns, filled, failures)


def case_ranks(cube: ScoreCube) -> NDArray[np.float64]:
    """(team, case, column): 1 + the number of better teams."""
    signs = np.array([-1.0 if column.higher_is_better else 1.0 for column in cube.columns])
    return np.asarray(stats.rankdata(cube.values * signs, method="min", axis=0), dtype=np.float64)


def standings(cube: ScoreCube) -> list[Standing]:
    """Overall first, then per structure, metric, structure and metric, and site."""
    ranks = case_ranks(cube)
    overall = ranks.mean(axis=2).mean(axis=1)
    return [
        _standing(part, ranks[:, cases][:, :, columns], overall)
        for part, cases, columns in _parts(cube)
    ]


def places(cumulative: Floats) -> NDArray[np.int64]:
    """(..., team): place 1 for the lowest; equal scores, up to rounding, share the better place."""
    rounded = np.round(cumulative, 9)
    return np.asarray(stats.rankdata(rounded, method="min", axis=-1), dtype=np.int64)


def kendall_tau(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Kendall's tau-b between two orders (Kendall 1945); NaN where a side is one tie."""
    if min(np.unique(first).size, np.unique(second).size) < 2:
        return float("nan")
    return round(float(stats.kendalltau(first, second).statistic), 12)  # 1, not 0.99...9


def ranking_csv(teams: Sequence[str], overall: Standing) -> str:
    """Best team first, with the columns that the challenge's own table has."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["Team", "MeanCumulativeRank"])
    order = sorted(range(len(teams)), key=lambda team: overall.cumulative[team])
    table.writerows((teams[team], overall.cumulative[team]) for team in order)
    return file.getvalue()


def _standing(part: str, ranks: Floats, overall: Floats) -> Standing:
    """``ranks`` (team, case, column) of the part's cases and columns."""
    cumulative = ranks.mean(axis=2).mean(axis=1)
    order = places(cumulative)
    return Standing(
        part,
        tuple(cumulative.tolist()),
        tuple(order.tolist()),
        ranks.shape[1],
        kendall_tau(order, places(overall)),
    )


def _parts(cube: ScoreCube) -> list[tuple[str, Mask, Mask]]:
    """Name, cases and columns of each part."""
    every_case, every_column = np.ones(len(cube.cases), bool), np.ones(len(cube.columns), bool)
    parts = [("overall", every_case, every_column)]
    for of in (lambda c: c.structure, lambda c: c.metric, str):
        names = np.array([of(column) for column in cube.columns])
        parts += [(str(name), every_case, names == name) for name in dict.fromkeys(names)]
    sites = np.array(cube.sites)
    several = sorted(set(cube.sites)) if len(set(cube.sites)) > 1 else []
    return parts + [(site, sites == site, every_column) for site in several]


def _columns(found: set[Column], scheme: Scheme | None) -> tuple[Column, ...]:
    structures = {column.structure for column in found}
    if scheme is None:
        scheme = "2023" if {"extra_meatal", "intra_meatal"} & structures else "2022"
    wanted = tuple(Column(s, m) for s in RANKED_STRUCTURES[scheme] for m in RANKED_METRICS)
    lacking = ", ".join(str(column) for column in wanted if column not in found)
    if lacking:
        raise UsageError(
            f"the score tables have no {lacking}, which the ranking of {scheme} needs. "
            "Add the columns, or choose the other --scheme."
        )
    return wanted


def _check_once(scores: Sequence[Score]) -> None:
    """Two tables may be of one name, and so of one team."""
    seen = set()
    for score in scores:
        key = (score.team, score.case, score.column)
        if key in seen:
            raise UsageError(
                f"two score tables both hold {score.column} of case {score.case} and team "
                f"{score.team}. Name each file for its team, or add a column 'team'."
            )
        seen.add(key)


def _check_teams(scores: Sequence[Score], teams: tuple[str, ...]) -> None:
    if len(teams) < 2:
        raise UsageError(
            f"the score tables hold one team ({', '.join(teams) or 'none'}); expected two or "
            "more: a table for each team, or a column 'team'."
        )
    cases = [{score.case for score in scores if score.team == team} for team in teams]
    for team, own in zip(teams[1:], cases[1:], strict=True):
        if not own & cases[0]:
            raise UsageError(
                f"teams {teams[0]} and {team} have no case in common "
                f"({min(cases[0])} and {min(own)}, for example). Name cases alike in all tables."
            )


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
