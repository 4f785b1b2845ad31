import itertools

import pytest

from meatus.errors import UsageError
from meatus_evaluation.benchmark import ratios
from meatus_evaluation.benchmark.ratios import (
    FixedWork,
    Ratios,
    Round,
    measure_ratios,
    ratios_of,
    read_ratios,
    write_ratios,
)
from tests.meatus.tiny_runs import save_scan, write_weights


def test_a_round_that_is_slow_altogether_changes_no_ratio():
    quick, slow = Round(4.0, 1.0, 2.0, 0.5), Round(40.0, 10.0, 20.0, 5.0)

    found = ratios_of([quick, slow, slow])

    assert (found.network, found.other) == (2.0, 2.0)


def test_of_several_rounds_the_median_counts():
    found = ratios_of([Round(n, o, 1.0, 1.0) for n, o in ((2.0, 9.0), (3.0, 1.0), (9.0, 2.0))])

    assert (found.network, found.other) == (3.0, 2.0)


def test_each_round_times_all_three_and_the_first_does_not_count(tmp_path, monkeypatch):
    """Of three rounds, that of the warm-up takes the network 100 passes."""
    order = []

    def seconds_of(work):
        order.append("fixed" if isinstance(work, FixedWork) else "pass")
        return 2.0

    networks = itertools.chain([200.0], itertools.repeat(6.0))

    def run_stages(_scan, _model, _out):
        order.append("job")
        return {"read": 1.0, "network": next(networks), "clean": 3.0}

    monkeypatch.setattr(ratios, "seconds_of", seconds_of)
    monkeypatch.setattr(ratios, "run_stages", run_stages)
    (tmp_path / "weights").mkdir()

    weights = write_weights(tmp_path / "weights")
    found = measure_ratios(save_scan(tmp_path / "a_T2.nii.gz"), 2, weights)

    assert order == ["pass", "fixed", "job"] * 3
    assert (found.network, found.other) == (3.0, 2.0)


def test_ratios_are_measured_on_a_scan(tmp_path):
    (tmp_path / "weights").mkdir()
    weights = write_weights(tmp_path / "weights")

    found = measure_ratios(save_scan(tmp_path / "a_T2.nii.gz"), 1, weights)

    # Two members and two flips are four passes; nothing else of the stage comes near that work.
    assert found.network > 1
    assert found.other > 0


def test_stored_ratios_are_read_as_they_were_written(tmp_path):
    write_ratios(tmp_path / "ratios.json", Ratios(2.5, 1.25, "a processor"))

    assert read_ratios(tmp_path / "ratios.json") == Ratios(2.5, 1.25, "a processor")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"network": 2}', '{"network": 0, "other": 1, "processor": ""}']
)
def test_a_file_without_ratios_says_how_it_is_made(tmp_path, text):
    (tmp_path / "ratios.json").write_text(text)

    with pytest.raises(UsageError, match="make renew-ratios"):
        read_ratios(tmp_path / "ratios.json")
