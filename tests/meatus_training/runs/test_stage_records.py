"""What a working folder remembers of its stages."""

import pytest

from meatus_training.errors import TrainingError
from meatus_training.runs.stage_records import (
    begin,
    file_key,
    finish,
    forget,
    give_up,
    is_done,
    key_of,
    read_record,
)


def test_a_folder_is_done_once_finished_with_the_same_key(tmp_path):
    folder = tmp_path / "stage"
    assert not is_done(folder, "a")

    begin(folder, "a", tmp_path / "aside")
    assert not is_done(folder, "a")
    finish(folder, "a")

    assert is_done(folder, "a")
    assert not is_done(folder, "b")


def test_what_was_begun_stays_to_go_on_from(tmp_path):
    folder = tmp_path / "stage"
    begin(folder, "a", tmp_path / "aside")
    (folder / "state").write_text("half")

    assert begin(folder, "a", tmp_path / "aside") is None

    assert (folder / "state").read_text() == "half"


def test_what_nobody_left_a_note_in_stays_too(tmp_path):
    folder = tmp_path / "stage"
    folder.mkdir()
    (folder / "state").write_text("by hand")

    assert begin(folder, "a", tmp_path / "aside") is None

    assert (folder / "state").exists()


def test_work_of_another_key_is_set_aside_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "stage"
    begin(folder, "first-key", tmp_path / "aside")
    (folder / "state").write_text("first")

    moved = begin(folder, "other-key", tmp_path / "aside")

    assert moved == tmp_path / "aside" / "stage-first-ke"
    assert (moved / "state").read_text() == "first"
    assert [file.name for file in folder.iterdir()] == ["stage.json"]


def test_without_a_place_to_set_it_aside_work_of_another_key_stays(tmp_path):
    folder = tmp_path / "stage"
    begin(folder, "a", None)
    (folder / "state").write_text("first")

    assert begin(folder, "b", None) is None

    assert (folder / "state").exists()
    assert read_record(folder).key == "b"


def test_a_forgotten_folder_is_begun_anew(tmp_path):
    folder = tmp_path / "stage"
    begin(folder, "a", tmp_path / "aside")
    finish(folder, "a")

    forget(folder)

    assert not is_done(folder, "a")
    assert begin(folder, "a", tmp_path / "aside") is not None


def test_those_who_wait_can_see_that_somebody_gave_up(tmp_path):
    begin(tmp_path, "a", None)
    give_up(tmp_path, "a")

    assert read_record(tmp_path).failed
    begin(tmp_path, "a", None)
    assert not read_record(tmp_path).failed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"nokey": 1}'])
def test_a_damaged_note_is_no_note(tmp_path, text):
    (tmp_path / "stage.json").write_text(text)

    assert read_record(tmp_path) is None


def test_a_key_changes_with_each_part_and_with_their_order():
    keys = {key_of("a", 1), key_of("a", 2), key_of(1, "a"), key_of("a", [1]), key_of("a1")}

    assert len(keys) == 5
    assert key_of("a", 1) == key_of("a", 1)


def test_a_files_key_is_of_what_it_holds(tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    one.write_text("x")
    same.write_text("x")
    other.write_text("y")

    assert file_key(one) == file_key(same) != file_key(other)
    assert file_key(one, other) != file_key(other, one)
    with pytest.raises(TrainingError, match="gone: cannot be read"):
        file_key(tmp_path / "gone")
