"""Settings of all stages, what their keys depend on, and what is begun anew."""

from dataclasses import replace

import pytest

from meatus_training.errors import TrainingError
from meatus_training.reproduce.stage import (
    check_batches,
    listing,
    load_all,
    redo_from,
    translation_key,
)
from meatus_training.runs.stage_records import begin, finish, is_done
from meatus_training.translation.settings import TranslateSettings
from tests.meatus_training.reproduce.tiny import make_preset


@pytest.mark.parametrize("preset", ["paper", "meatus", "phantom", "published", "smoke", "ladder"])
def test_every_preset_is_whole(preset):
    assert load_all(preset).export.members >= 1


def test_a_folder_of_ones_own_takes_the_place_of_a_preset(tmp_path):
    settings = load_all(str(make_preset(tmp_path, export={"members": 7})))

    assert settings.export.members == 7


def test_painted_phantoms_are_no_scans_of_a_reproduction(tmp_path):
    preset = make_preset(tmp_path, segment={"train_on": "phantoms"})

    with pytest.raises(TrainingError, match="segment trains on 'phantoms'"):
        load_all(str(preset))


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("export", {"members": 0}),
        ("export", {"name": "a/b"}),
        ("selftrain", {"rounds": -1}),
        ("selftrain", {"length": 0}),
        ("selftrain", {"select": {"voxel_p": "much"}}),
    ],
)
def test_values_that_make_no_sense_are_refused_with_their_key(tmp_path, stage, changes):
    preset = make_preset(tmp_path, **{stage: changes})

    with pytest.raises(TrainingError, match=rf"{stage}.yaml: {next(iter(changes))}"):
        load_all(str(preset))


def test_how_often_a_training_is_saved_does_not_change_a_translation():
    plain = TranslateSettings()
    other = replace(plain, training=replace(plain.training, save_every=3, workers=2))

    assert translation_key(plain) == translation_key(other)
    wider = replace(plain, training=replace(plain.training, width=65))
    assert translation_key(plain) != translation_key(wider)


def test_a_changed_file_shows_in_the_listing(tmp_path):
    file = tmp_path / "folder" / "scan"
    file.parent.mkdir()
    file.write_text("one")
    before = listing(tmp_path)

    file.write_text("three")

    assert before != listing(tmp_path)
    assert [row[0] for row in before] == ["folder/scan"]


def test_a_stage_and_those_behind_it_can_be_begun_anew(tmp_path):
    folders = ["prepared", "translate", "segment/a", "selftrain/round_1/pseudo", "weights"]
    for name in folders:
        begin(tmp_path / name, "key", None)
        finish(tmp_path / name, "key")

    redo_from(tmp_path, "segment")
    assert [is_done(tmp_path / name, "key") for name in folders] == [True, True, *[False] * 3]

    redo_from(tmp_path, "prepare")
    assert not any(is_done(tmp_path / name, "key") for name in folders)
    assert len(list((tmp_path / "aside").glob("prepared-*"))) == 1


@pytest.mark.parametrize("processes", [4, 8])
def test_processes_that_cannot_share_a_batch_are_refused_before_anything_starts(processes):
    with pytest.raises(TrainingError, match=rf"shared by {processes} processes; run 1, 2, 5, 10"):
        check_batches(load_all("paper"), processes)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_processes_that_share_a_batch_evenly_may_start(processes):
    check_batches(load_all("paper"), processes)
