import numpy as np
import pytest

from meatus.weights import read_spec
from meatus_training.bench import engine_ways
from meatus_training.bench.engine_ways import (
    TODAY,
    int8_way,
    lowest_dice,
    openvino_ways,
    rows_of,
    timed,
)
from meatus_training.errors import TrainingError
from tests.meatus.tiny_runs import write_weights


@pytest.fixture
def network(tmp_path):
    return write_weights(tmp_path) / "a.onnx"


def test_every_way_gives_todays_probabilities(network):
    work = np.random.default_rng(0).uniform(-1, 1, (2, 4, 32, 32)).astype(np.float32)

    ways = openvino_ways(network, work.shape[1:])
    wanted = ways[TODAY](work)

    assert wanted.shape == (2, 4, 4, 32, 32)
    assert len(ways) >= 3
    for run in ways.values():
        np.testing.assert_allclose(run(work), wanted, atol=0.02)  # bfloat16 has eight bits


def test_a_way_is_held_to_todays_time_of_the_same_round():
    seconds = {"today": [1.0, 10.0, 100.0], "other": [0.5, 5.0, 200.0]}
    labels = {"today": np.array([0, 1, 1]), "other": np.array([0, 1, 0])}

    today, other = rows_of(seconds, labels)

    assert (today.share, today.dice) == (1, 1)
    assert (other.seconds, other.share) == (5.0, 0.5)
    assert other.dice == pytest.approx(2 / 3)


def test_the_first_round_does_not_count():
    calls = []

    def run(work):
        calls.append(work)
        return np.zeros((1, 4, 1, 1, 1))

    (row,) = timed({"only": run}, np.zeros((1, 1, 1, 1)), 2)

    assert len(calls) == 3
    assert row.share == 1


def test_the_lowest_dice_is_that_of_the_structure_that_fits_worst():
    assert lowest_dice(np.array([1, 1, 2, 0]), np.array([1, 1, 2, 2])) == pytest.approx(2 / 3)


def test_without_nncf_int8_is_left_out_and_the_reason_told(network, monkeypatch):
    def lacking(_file, _windows):
        raise TrainingError("int8 needs NNCF: pip install nncf")

    monkeypatch.setattr(engine_ways, "quantised", lacking)
    said = []

    assert int8_way(network, read_spec(network), [], said.append) == {}
    assert "pip install nncf" in said[0]
