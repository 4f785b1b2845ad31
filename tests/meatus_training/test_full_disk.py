"""A disk that is full while stages write: one clear error, nothing half-written, and on it goes."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from meatus.errors import OutputError
from meatus_training.reproduce.settings import load_all
from meatus_training.reproduce.stage import (
    Reproduction,
    run_reproduce,
)
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.train import train_segmenter
from meatus_training.translation.stage import run_translate
from meatus_training.translation.train import train_translation
from tests.meatus_training.reproduce.run_contexts import crew_of_one
from tests.meatus_training.reproduce.tiny import done_stages, make_cohort, make_preset
from tests.meatus_training.segmentation import runs as segmentation
from tests.meatus_training.translation import runs as translation
from tests.meatus_training.translation.test_stage import SETTINGS, translated, work_folder


@pytest.fixture
def full(monkeypatch):
    """A function that makes room, or, given a part of a path, takes it from there on."""
    write_bytes, refused = Path.write_bytes, []

    def write(path, data):
        if any(f"/{part}/" in path.as_posix() for part in refused):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    return lambda *parts: refused.__setitem__(slice(None), parts)


def test_every_stage_of_a_reproduction_that_found_no_room_goes_on_from_there(tmp_path, full):
    cohort, preset = make_cohort(tmp_path / "cohort"), make_preset(tmp_path / "preset")
    work = tmp_path / "work"
    run = Reproduction(cohort, load_all(str(preset)), crew_of_one(work), truth=cohort / "truth")
    folders = ["prepared", "translate", "translated", "segment", "round_0", "pseudo", "round_1"]

    for folder in (*folders, "work/weights"):
        full(folder)
        with pytest.raises(OutputError, match=rf"{folder}/.*: cannot be written \(No space left"):
            run_reproduce(run)
        assert list(work.rglob(".*.part")) == []
    full()
    run_reproduce(run)

    assert done_stages(work) >= {"prepared", "translate", "selftrain/round_1/pseudo", "weights"}


def test_a_translator_that_could_not_be_saved_goes_on_from_where_it_was(tmp_path, full):
    data, settings = translation.toy_data(), translation.TINY
    fabric, say = translation.CPU, translation.silent
    unbroken = train_translation(data, settings, tmp_path / "unbroken", fabric, say)

    full("broken")
    with pytest.raises(OutputError, match=r"state\.pt: cannot be written \(No space left"):
        train_translation(data, settings, tmp_path / "broken", fabric, say)
    assert list((tmp_path / "broken").glob("*.pt")) == []
    assert list((tmp_path / "broken").glob(".*.part")) == []
    full()
    broken = train_translation(data, settings, tmp_path / "broken", fabric, say)

    assert torch.equal(translation.weights(broken), translation.weights(unbroken))


def test_translations_that_found_no_room_are_made_the_next_time(tmp_path, full):
    work = work_folder(tmp_path)

    full("translated")
    with pytest.raises(OutputError, match=r"translated/.*: cannot be written \(No space left"):
        run_translate(work, SETTINGS, translation.CPU, translation.silent)
    assert list((work / "translated").glob("*.json")) == []
    full()
    said = []
    run_translate(work, SETTINGS, translation.CPU, said.append)

    assert len(translated(work)) == 2
    assert not any(line.startswith("step") for line in said), "the training was done"


def test_a_member_that_could_not_be_saved_goes_on_from_where_it_was(tmp_path, full):
    scans, fabric = segmentation.toy_scans(tmp_path / "scans"), make_fabric(accelerator="cpu")

    def train(name):
        say = segmentation.silent
        return train_segmenter(scans, segmentation.TINY, tmp_path / name, fabric, say=say)

    unbroken = train("unbroken")
    full("broken")
    with pytest.raises(OutputError, match=r"state\.pt: cannot be written \(No space left"):
        train("broken")
    full()

    found = segmentation.weights(train("broken").network)
    assert torch.equal(found, segmentation.weights(unbroken.network))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_curve_that_finds_no_room_is_named(tmp_path):
    journal = Journal(tmp_path, 0, writes=True)
    journal.curve = Path("/dev/full")

    with pytest.raises(OutputError, match="/dev/full: cannot be written"):
        journal.line(1, {"loss": 1.0})
    journal.close()


def test_a_picture_that_finds_no_room_is_named_and_leaves_nothing(tmp_path, full):
    journal = Journal(tmp_path, 0, writes=True)
    full("pictures")

    with pytest.raises(OutputError, match=r"step_0000003\.png: cannot be written"):
        journal.picture(3, "a title", np.zeros((4, 4), np.uint8))
    journal.close()

    assert list((tmp_path / "pictures").iterdir()) == []
