"""Places when the cases are drawn anew."""

import math

import numpy as np
import pytest
from scipy import stats

from meatus_evaluation.challenge.ranking import score_cube
from meatus_evaluation.challenge.stability import Bootstrap, rank_stability, resampled_means
from meatus_evaluation.scoring.score_tables import read_scores
from tests.meatus_evaluation.challenge.test_ranking import table


def test_a_team_that_is_always_best_keeps_its_place_in_every_resample(tmp_path):
    rows = [
        f"c{k},{t},{d},{1 - d},{d},{1 - d}" for k in range(8) for t, d in (("A", 0.9), ("B", 0.5))
    ]
    steady = rank_stability(score_cube(read_scores(table(tmp_path, rows=rows))))

    assert steady.same_order == 1
    assert steady.tau == 1
    assert steady.teams[0].place_shares == (1, 0)
    assert steady.teams[1].cumulative_interval == (2, 2)


def test_two_teams_that_win_half_the_cases_each_change_places(tmp_path):
    """Of 2 cases drawn anew, a quarter are both won by A, a quarter by B, half are a tie."""
    pairs = (("1", "A", 0.9), ("1", "B", 0.5), ("2", "A", 0.5), ("2", "B", 0.9))
    rows = [f"c{k},{t},{d},{1 - d},{d},{1 - d}" for k, t, d in pairs]
    cube = score_cube(read_scores(table(tmp_path, rows=rows)))

    steady = rank_stability(cube, Bootstrap(4000, seed=1))

    assert steady.teams[0].place_shares[0] == pytest.approx(0.75, abs=0.03)
    assert steady.teams[0].cumulative_interval == (1, 2)
    once, again = (rank_stability(cube, Bootstrap(50, 7)) for _ in range(2))
    assert once.teams == again.teams
    assert math.isnan(once.tau)  # all cases together tie both teams


def test_resampled_means_agree_with_scipys_bootstrap():
    values = np.random.default_rng(3).normal(size=60)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, rng=np.random.default_rng(0), method="percentile"
    )

    means = resampled_means(values, Bootstrap(4000))

    assert means.std() == pytest.approx(oracle.standard_error, rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
