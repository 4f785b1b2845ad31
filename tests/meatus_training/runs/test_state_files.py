import json

import numpy as np
import pytest
import torch

from meatus.errors import OutputError
from meatus_training.errors import TrainingError
from meatus_training.runs.distributed import anyone, average_gradients, mean, total
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import make_fabric
from meatus_training.runs.state_files import check_same_settings, read_state, write_state


def test_a_state_comes_back_as_it_was(tmp_path):
    write_state(tmp_path / "run/state.pt", {"step": 3, "weights": torch.arange(4)})

    found = read_state(tmp_path / "run/state.pt")

    assert found["step"] == 3
    assert found["weights"].tolist() == [0, 1, 2, 3]
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["state.pt"]


def test_a_state_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "state.pt").mkdir()
    (tmp_path / "state.pt/in_the_way").touch()

    with pytest.raises(OutputError, match=r"state\.pt: cannot be written"):
        write_state(tmp_path / "state.pt", {})


def test_only_settings_that_are_free_may_change(tmp_path):
    check_same_settings(
        tmp_path, {"rate": 1, "workers": 1}, {"rate": 1, "workers": 2}, ["workers"], ""
    )

    with pytest.raises(TrainingError, match=r"other settings \(rate\)"):
        check_same_settings(tmp_path, {"rate": 1}, {"rate": 2}, ["workers"], "")


def test_one_process_alone_is_its_own_mean():
    fabric, weight = make_fabric(accelerator="cpu"), torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 3.0])

    average_gradients(fabric, [weight])

    assert weight.grad.tolist() == [1.0, 3.0]
    assert mean(fabric, torch.tensor([2.0])).item() == 2
    assert anyone(fabric, True)
    assert total(fabric, 1.5, 2) == [1.5, 2.0]


def test_a_journal_that_goes_on_forgets_later_lines(tmp_path):
    first = Journal(tmp_path, 0, writes=True)
    for step in (1, 2, 3):
        first.line(step, {"loss": 1 / step})
    first.close()

    again = Journal(tmp_path, 2, writes=True)
    again.line(3, {"loss": 0.25})
    again.picture(3, "grey", np.zeros((4, 4), np.uint8))
    again.close()

    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert (tmp_path / "pictures/step_0000003.png").exists()
