"""Settings of all stages, what their keys depend on, and what is begun anew."""

from dataclasses import replace

import pytest

from meatus_training.errors import TrainingError
from meatus_training.reproduce.settings import check_batches, load_all
from meatus_training.reproduce.stage import (
    check_start,
    listing,
    redo_from,
    translations_key,
    translator_key,
)
from meatus_training.runs.launch import make_fabric
from meatus_training.runs.stage_records import begin, finish, is_done
from meatus_training.translation.settings import ApplySettings, TranslateSettings
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

    assert translations_key(plain) == translations_key(other)
    wider = replace(plain, training=replace(plain.training, width=65))
    assert translations_key(plain) != translations_key(wider)


def test_how_a_translator_is_applied_does_not_change_it():
    plain = TranslateSettings()
    for other in (replace(plain, epoch=30), replace(plain, apply=ApplySettings(mirrored=False))):
        assert translator_key(other) == translator_key(plain)
        assert translations_key(other) != translations_key(plain)


def test_more_epochs_may_be_kept_of_a_training_that_goes_on():
    plain = TranslateSettings()
    other = replace(plain, training=replace(plain.training, keep_epochs=5))

    assert translator_key(other) == translator_key(plain)


def test_a_scan_behind_a_link_shows_in_the_listing(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    elsewhere.mkdir()
    (data / "TrainingSource").symlink_to(elsewhere, target_is_directory=True)
    before = listing(data)

    (elsewhere / "scan").write_text("new")

    assert before == []
    assert [row[0] for row in listing(data)] == ["TrainingSource/scan"]


def test_a_changed_file_shows_in_the_listing(tmp_path):
    file = tmp_path / "folder" / "scan"
    file.parent.mkdir()
    file.write_text("one")
    before = listing(tmp_path)

    file.write_text("three")

    assert before != listing(tmp_path)
    assert [row[0] for row in before] == ["folder/scan"]


def test_a_stage_and_those_behind_it_can_be_begun_anew(tmp_path):
    folders = ["prepared", "translate", "translated", "segment/a"]
    folders += ["selftrain/round_1/pseudo", "weights"]
    for name in folders:
        begin(tmp_path / name, "key", None)
        finish(tmp_path / name, "key")

    redo_from(tmp_path, "segment")
    assert [is_done(tmp_path / name, "key") for name in folders] == [True] * 3 + [False] * 3

    redo_from(tmp_path, "prepare")
    assert not any(is_done(tmp_path / name, "key") for name in folders)
    assert len(list((tmp_path / "aside").glob("prepared-*"))) == 1


@pytest.mark.parametrize("processes", [4, 8])
def test_processes_that_cannot_share_a_batch_are_refused_before_anything_starts(processes):
    with pytest.raises(TrainingError, match=rf"shared by {processes} processes; run 1, 2, 5, 10"):
        check_batches(load_all("paper"), processes)


@pytest.mark.parametrize("work", ["data", "data/work"])
def test_a_working_folder_among_the_scans_is_refused(tmp_path, work):
    # Label maps of pseudo-labels would be found there as scans of unknown names the next time.
    with pytest.raises(TrainingError, match=r"lies within .*data, where its label maps would be"):
        check_start(tmp_path / "data", tmp_path / work, load_all("smoke"), make_fabric())


def test_passes_that_do_not_share_the_batch_of_a_process_are_refused_too():
    settings = load_all("paper")
    settings = replace(settings, segment=replace(settings.segment, micro_batch=10))

    check_batches(settings, 1)
    with pytest.raises(TrainingError, match="each of 2 processes has 5 windows a step"):
        check_batches(settings, 2)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_processes_that_share_a_batch_evenly_may_start(processes):
    check_batches(load_all("paper"), processes)
