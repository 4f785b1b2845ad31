import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from meatus_training.errors import TrainingError
from meatus_training.translation.epochs import (
    Epoch,
    Measured,
    choose_epoch,
    distance,
    epoch_file,
    epochs,
    fixed_pairs,
    kept_epochs,
    measure,
    parted,
)
from meatus_training.translation.state import load_generator, start_state
from meatus_training.translation.train import train_translation
from tests.meatus_training.translation.runs import (
    CPU,
    TINY,
    curve,
    silent,
    toy_data,
    weights,
)

KEPT = replace(TINY, keep_epochs=1, held_out=0.4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    work = tmp_path_factory.mktemp("kept")
    train_translation(toy_data(), KEPT, work / "translate", CPU, silent)
    return work


def epoch(number, content, look):
    return Epoch(number, Measured(nce=content / 2, identity=content / 2, grey=look, edges=look))


def test_every_epoch_is_kept_with_numbers_picture_and_generator(trained):
    kept = kept_epochs(trained / "translate")

    assert [one.number for one in kept] == [1, 2]
    assert all(value > 0 for one in kept for value in vars(one.measured).values())
    generators = [load_generator(epoch_file(trained / "translate", n))[0] for n in (1, 2)]
    first, second = (torch.cat([p.flatten() for p in g.parameters()]) for g in generators)
    assert not torch.equal(first, second)
    picture = np.asarray(Image.open(trained / "translate/epochs/epoch_0001.png"))
    assert picture.shape == (4 * 32, 3 * 32)


def test_measuring_changes_no_weight_and_is_the_same_twice():
    state, pairs = start_state(KEPT, CPU), fixed_pairs(toy_data(), KEPT)
    before = {n: p.clone() for n, p in state.generator.named_parameters()}

    one, other = (measure(state, pairs, KEPT, CPU)[0] for _ in range(2))

    assert one == other
    assert all(torch.equal(before[n], p) for n, p in state.generator.named_parameters())


def test_keeping_epochs_leaves_the_training_as_it_is(trained, tmp_path):
    plain = replace(KEPT, keep_epochs=0)
    one = train_translation(toy_data(), plain, tmp_path / "plain", CPU, silent)
    other = train_translation(toy_data(), KEPT, tmp_path / "kept", CPU, silent)

    assert torch.equal(weights(one), weights(other))


def test_held_out_scans_are_not_trained_on():
    data = toy_data()

    train, held = parted(data, 0.4)

    assert (len(train.source), len(held.source)) == (1, 1)
    assert (len(train.target), len(held.target)) == (2, 1)
    assert {id(scan) for scan in train.source}.isdisjoint(id(scan) for scan in held.source)
    assert {id(scan) for scan in train.target}.isdisjoint(id(scan) for scan in held.target)
    assert all(a is b for a, b in zip(train.labels, data.labels[1:], strict=True))


def test_holding_all_scans_out_is_refused():
    with pytest.raises(TrainingError, match=r"held_out: 0\.9 of 2 source and 3 target"):
        parted(toy_data(), 0.9)


def test_the_epoch_that_is_good_at_both_is_chosen():
    content_alone, look_alone = epoch(1, 1.0, 0.9), epoch(3, 3.0, 0.1)
    both = epoch(2, 1.2, 0.2)

    assert choose_epoch([content_alone, both, look_alone]).number == 2


def test_of_equal_epochs_the_last_is_chosen():
    assert choose_epoch([epoch(1, 1, 1), epoch(2, 1, 1)]).number == 2


def test_a_kept_epoch_can_be_asked_for_and_no_other(trained):
    assert epoch_file(trained / "translate", 1).name == "epoch_0001.pt"
    with pytest.raises(TrainingError, match=r"epoch 7 is not kept; kept are 1, 2\."):
        epoch_file(trained / "translate", 7)


def test_without_kept_epochs_the_last_state_is_taken(tmp_path):
    assert epoch_file(tmp_path, 0) is None


def test_the_command_shows_epochs_side_by_side_and_marks_one(trained):
    result = CliRunner().invoke(epochs, [str(trained)])

    assert result.exit_code == 0
    chosen = choose_epoch(kept_epochs(trained / "translate")).number
    (line,) = [line for line in result.stdout.splitlines() if "chosen" in line]
    assert line.split()[1] == str(chosen)
    assert np.asarray(Image.open(trained / "translate/epochs.png")).shape == (128, 2 * 96)


def test_the_command_says_where_nothing_is_kept(tmp_path):
    result = CliRunner().invoke(epochs, [str(tmp_path)])

    assert result.exit_code == 2
    assert "no epoch is kept; set keep_epochs" in result.stderr


def test_a_damaged_record_is_named(trained, tmp_path):
    folder = tmp_path / "epochs"
    folder.mkdir()
    (folder / "epoch_0001.json").write_text(json.dumps({"number": 1}))

    with pytest.raises(TrainingError, match=r"epoch_0001\.json: cannot be read"):
        kept_epochs(tmp_path)


def test_the_distance_of_values_is_how_far_they_must_be_moved():
    values = torch.linspace(-1, 1, 700)

    assert distance(values, values + 0.25) == pytest.approx(0.25)


def test_a_trainings_rate_follows_the_content_that_is_measured(tmp_path, monkeypatch):
    # Content falls, stands still for two epochs, falls: so one step down, whatever the critic does.
    contents = iter([4.0, 3.0, 3.0, 3.0, 2.0, 1.0])

    def measured(*_given):
        return SimpleNamespace(content=next(contents)), None

    monkeypatch.setattr("meatus_training.translation.train.measure", measured)
    settings = replace(TINY, epochs=6, steps_per_epoch=1, plateau_patience=1)

    train_translation(toy_data(), settings, tmp_path, CPU, silent)

    rates = [line["rate"] / TINY.learning_rate for line in curve(tmp_path)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.2, 0.2])


def test_the_plateau_follows_content_and_stops_at_its_floor():
    # A critic that wins makes the adversarial sum rise for ever; 60 epochs of that took the rate
    # to 6e-8. Here content stands still, and the rate stays at its floor.
    state = start_state(replace(TINY, plateau_patience=0, plateau_floor=0.05), CPU)
    rates = []
    for _ in range(60):
        for schedule in state.schedules:
            schedule.step(1.0)
        rates.append(state.generator_optimiser.param_groups[0]["lr"])

    assert rates[-1] == pytest.approx(0.05 * TINY.learning_rate)
