"""Whose unfinished files a run may remove, and how results come out of the hidden folder."""

import errno
import fcntl
import os
import threading

import nibabel as nib
import numpy as np
import pytest

from meatus.errors import OutputError, UsageError
from meatus.geometry import Geometry
from meatus.io.images import read_grid, write_labels
from meatus.service.output_folder import LOCK, OWN, OutputFolder, open_output_folder
from meatus.volumes import Labels

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
HOUR_S = 3600


def labels(value=1, size=4):
    geometry = Geometry((size, size, size), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), IDENTITY)
    return Labels(np.full(geometry.shape, value, np.uint8), geometry)


def leftover(output, *, age_s=0, lock=True):
    """The folder of a run that died without a word."""
    folder = output / f"{OWN}dead"
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(b"half")
    if lock:
        (folder / LOCK).touch()
    then = folder.stat().st_mtime - age_s
    os.utime(folder, (then, then))
    return folder


def test_a_result_is_moved_out_and_nothing_else_stays(tmp_path):
    with open_output_folder(tmp_path / "new" / "out") as output:
        output.put(labels(), tmp_path / "new" / "out" / "a.nii.gz")

    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == ["a.nii.gz"]
    assert nib.load(tmp_path / "new" / "out" / "a.nii.gz").get_fdata().min() == 1


def test_what_a_dead_run_left_goes_at_once(tmp_path):
    folder = leftover(tmp_path)

    with open_output_folder(tmp_path):
        assert not folder.exists()


def test_what_a_living_run_works_on_stays_whatever_its_age(tmp_path):
    with open_output_folder(tmp_path) as living:
        os.utime(living.folder, (0, 0))
        with open_output_folder(tmp_path) as other:
            assert living.folder.exists()
            assert other.folder != living.folder


@pytest.mark.parametrize(("age_s", "stays"), [(HOUR_S / 2, True), (HOUR_S * 2, False)])
def test_a_folder_that_has_no_lock_yet_stays_for_an_hour(tmp_path, age_s, stays):
    folder = leftover(tmp_path, age_s=age_s, lock=False)

    with open_output_folder(tmp_path):
        assert folder.exists() == stays


@pytest.mark.parametrize(("age_s", "stays"), [(HOUR_S * 23, True), (HOUR_S * 25, False)])
def test_where_files_cannot_be_locked_a_folder_stays_for_a_day(tmp_path, monkeypatch, age_s, stays):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = leftover(tmp_path, age_s=age_s)

    with open_output_folder(tmp_path) as output:
        assert folder.exists() == stays
        output.put(labels(), tmp_path / "a.nii.gz")
    assert (tmp_path / "a.nii.gz").exists()


def test_a_folder_taken_away_before_it_was_locked_is_replaced(tmp_path, monkeypatch):
    inner, taken = fcntl.flock, []

    def flock(file, kind):
        if not taken:  # another run found the lock free just before
            (folder,) = tmp_path.glob(f"{OWN}*")
            taken.append(folder)
            (folder / LOCK).unlink()
            folder.rmdir()
        inner(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)

    with open_output_folder(tmp_path) as output:
        assert output.folder != taken[0]
        output.put(labels(), tmp_path / "a.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_only_old_leftovers_of_single_writers_are_cleared_up(tmp_path):
    old, young = tmp_path / ".12.part.a.nii.gz", tmp_path / ".0123456789abcdef.part"
    foreign = tmp_path / ".film.part"
    for part in (old, young, foreign):
        part.write_bytes(b"")
    for part in (old, foreign):
        os.utime(part, (0, 0))

    with open_output_folder(tmp_path):
        assert [part.exists() for part in (old, young, foreign)] == [False, True, True]


def test_containers_with_the_same_process_number_do_not_mix_their_results(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    result, failed = tmp_path / "a.nii.gz", []

    def write(output, value):
        for _ in range(20):
            try:
                output.put(labels(value, size=32), result)
            except OutputError as error:
                failed.append(error)

    with open_output_folder(tmp_path) as one, open_output_folder(tmp_path) as two:
        writers = [threading.Thread(target=write, args=pair) for pair in ((one, 1), (two, 2))]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    assert not failed
    assert len(np.unique(nib.load(result).get_fdata())) == 1
    assert list(tmp_path.iterdir()) == [result]


def test_a_result_that_cannot_be_kept_safe_is_not_shown(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = tmp_path / "a.nii.gz"

    with open_output_folder(tmp_path) as output, pytest.raises(OutputError) as caught:
        output.put(labels(), result)

    assert str(caught.value).startswith(f"{result}: cannot be written (No space left on device);")
    assert not list(tmp_path.iterdir())


def test_errors_name_the_result_and_not_the_hidden_place(tmp_path):
    output = OutputFolder(tmp_path / "gone")

    with pytest.raises(OutputError, match=r"/a\.nii\.gz: cannot be written") as caught:
        output.put(labels(), tmp_path / "a.nii.gz")

    assert "gone" not in str(caught.value)


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")

    with pytest.raises(UsageError, match="cannot be written"), open_output_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_a_result_with_the_longest_name_is_written(tmp_path, suffix):
    result = tmp_path / f"{'x' * 245}{suffix}"

    with open_output_folder(tmp_path) as output:
        output.put(labels(size=16), result)
        write_labels(labels(size=16), result.with_name(f"y{result.name[1:]}"))

    assert {path.name[0] for path in tmp_path.iterdir()} == {"x", "y"}
    assert read_grid(result)[0].size == (16, 16, 16)
