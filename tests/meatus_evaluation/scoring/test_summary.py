"""What is said of many scores together."""

import json
from dataclasses import replace

import numpy as np
import pytest

from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.score_tables import scores_of
from meatus_evaluation.scoring.structure_score import compare
from meatus_evaluation.scoring.summary import as_json, statistics, summarise

ONE = np.array([[[True]]])
PERFECT = compare(ONE, ONE, (1.0, 1.0, 1.0))


def case(number, site, dice, failure=None):
    score = replace(PERFECT, measures={**PERFECT.measures, "dice": dice})
    return CaseScore(f"crossmoda2023_{site}_{number}", site, {"whole_vs": score}, 0.5, failure)


def test_statistics_are_as_computed_on_paper():
    found = statistics([1.0, 2.0, 3.0, 4.0])

    assert (found.count, found.mean, found.median) == (4, 2.5, 2.5)
    assert found.sd == pytest.approx((5 / 3) ** 0.5)
    assert (found.lower_quartile, found.upper_quartile) == (1.75, 3.25)
    assert 1 <= found.mean_low < 2.5 < found.mean_high <= 4


def test_one_case_has_no_spread():
    found = statistics([0.8])

    assert (found.mean, found.median) == (0.8, 0.8)
    assert (found.sd, found.mean_low, found.mean_high) == (None, None, None)


def test_equal_values_have_an_interval_of_no_width():
    found = statistics([0.8] * 5)

    assert (found.mean_low, found.mean_high) == (pytest.approx(0.8), pytest.approx(0.8))


def test_the_interval_is_the_same_each_time_and_near_the_theory():
    """Of 400 draws from a normal distribution: about 1.96 standard errors to both sides."""
    sample = np.random.default_rng(1).normal(0, 1, 400)
    found = statistics(sample)

    assert found == statistics(sample)
    error = found.sd / 20
    assert found.mean_low == pytest.approx(found.mean - 1.96 * error, abs=0.15 * error)
    assert found.mean_high == pytest.approx(found.mean + 1.96 * error, abs=0.15 * error)


def test_all_cases_come_first_then_each_site_with_its_failures():
    scores = [
        case(1, "ldn", 0.9), case(2, "ldn", 0.7), case(3, "etz", 0.5),
        case(4, "etz", 0.0, "crossmoda2023_etz_4: no prediction"),
    ]  # fmt: skip

    overall, etz, ldn = summarise(scores)

    assert [group.group for group in (overall, etz, ldn)] == ["all", "etz", "ldn"]
    assert overall.failures == etz.failures == ("crossmoda2023_etz_4",)
    assert ldn.failures == ()
    assert overall.measures["whole_vs"]["dice"].mean == pytest.approx(2.1 / 4)
    assert ldn.measures["whole_vs"]["dice"].mean == pytest.approx(0.8)
    assert overall.measures["boundary"]["assd_mm"].count == 4
    assert overall.counts["whole_vs"].found == 4


def test_one_site_is_told_once():
    assert [group.group for group in summarise([case(1, "ldn", 0.9)])] == ["all"]


def test_json_holds_numbers_alone_and_is_read_as_a_score_table():
    scores = [case(1, "ldn", 0.9), case(2, "ukm", 0.8, "crossmoda2023_ukm_2: no prediction")]

    content = json.loads(json.dumps(as_json(scores), allow_nan=False))

    assert content["mean"] == {"whole_vs": pytest.approx(0.85)}
    assert content["failures"] == {"crossmoda2023_ukm_2": "crossmoda2023_ukm_2: no prediction"}
    read = {(s.case, str(s.column)): s.value for s in scores_of(content["cases"], "us", "here")}
    assert read["crossmoda2023_ldn_1", "whole_vs dice"] == 0.9
    assert read["crossmoda2023_ldn_1", "boundary assd"] == 0.5
