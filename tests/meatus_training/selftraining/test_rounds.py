"""What a round trains on: shares and weights computed by hand."""

import json

import pytest

from meatus_training.selftraining.rounds import RoundRules, compose, log_lines, write_log
from meatus_training.selftraining.select import Verdict


def verdict(case, confidence=0.9, keep=True):
    reasons = () if keep else ("no ear looks like this",)
    return Verdict(case, keep, reasons, confidence, (confidence, None, confidence), (1, 0, 1), 0)


REAL = [verdict("r1", 0.8), verdict("r2", 0.95), verdict("r3", 0.9), verdict("r4", 0.99, False)]


def weights(plan):
    return {entry.case: entry.weight for entry in plan.entries}


def test_a_round_takes_the_surest_share_of_the_plausible_cases():
    plan = compose(1, ["t1"], REAL, RoundRules(shares=(0.5,)))

    assert plan.real == ("r2", "r3")  # two of three: half, rounded up
    assert plan.left_out == ("r1",)


def test_later_rounds_take_more_and_the_last_share_goes_on():
    rules = RoundRules(shares=(0.3, 1.0))

    assert compose(1, ["t"], REAL, rules).real == ("r2",)
    assert compose(2, ["t"], REAL, rules).real == ("r1", "r2", "r3")
    assert compose(7, ["t"], REAL, rules).real == ("r1", "r2", "r3")


def test_both_kinds_are_drawn_alike_and_within_a_kind_all_scans():
    plan = compose(2, ["t1", "t2"], REAL)

    assert weights(plan) == pytest.approx(
        {"t1": 1 / 4, "t2": 1 / 4} | dict.fromkeys(plan.real, 1 / 6)
    )


def test_real_scans_may_weigh_less_together():
    plan = compose(2, ["t1", "t2"], REAL, RoundRules(real_weight=1 / 3))

    assert weights(plan)["t1"] == pytest.approx(3 / 8)
    assert sum(weights(plan).values()) == pytest.approx(1)


def test_too_few_plausible_cases_leave_the_translated_ones_alone():
    plan = compose(2, ["t1", "t2"], REAL, RoundRules(fewest=4))

    assert plan.real == ()
    assert weights(plan) == {"t1": 0.5, "t2": 0.5}
    assert plan.left_out == ("r1", "r2", "r3")


def test_real_scans_alone_are_possible():
    assert weights(compose(2, [], REAL[:2])) == {"r1": 0.5, "r2": 0.5}


def test_the_order_of_the_arguments_does_not_matter():
    rules = RoundRules(shares=(0.5,))
    equal = [verdict(name, 0.9) for name in ("c", "a", "b", "d")]

    assert compose(1, ["t2", "t1"], equal, rules) == compose(1, ["t1", "t2"], equal[::-1], rules)
    assert compose(1, ["t1"], equal, rules).real == ("a", "b")


def test_a_case_named_twice_and_a_round_without_scans_are_refused():
    with pytest.raises(ValueError, match="named twice: r1"):
        compose(1, ["r1"], REAL)
    with pytest.raises(ValueError, match="no translated scan"):
        compose(1, [], [verdict("r", keep=False)])


def test_the_log_says_what_became_of_each_case_and_why():
    plan = compose(1, ["t1"], REAL, RoundRules(shares=(0.5,)))

    whole, *rows = (json.loads(line) for line in log_lines(plan))

    assert whole == {"round": 1, "translated": 1, "real": 2, "left_out": 1, "rejected": 1}
    assert {row["case"]: row["fate"] for row in rows} == {
        "r1": "left out",
        "r2": "used",
        "r3": "used",
        "r4": "rejected",
    }
    assert rows[3]["reasons"] == ["no ear looks like this"]


def test_a_repeated_round_replaces_its_own_log(tmp_path):
    plan = compose(3, ["t1"], REAL)

    write_log(plan, tmp_path / "log")
    file = write_log(plan, tmp_path / "log")

    assert file.name == "round_3.jsonl"
    assert file.read_text().count("\n") == 5
    assert [path.name for path in file.parent.iterdir()] == [file.name]
