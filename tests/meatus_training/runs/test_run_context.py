"""Stages that are carried out once, and what happens when one is told to stop or fails."""

import signal

import pytest

from meatus_training.errors import TrainingError
from meatus_training.runs.run_context import ToldToStopError, ends_on_sigterm
from meatus_training.runs.stage_records import is_done, read_record
from tests.meatus_training.reproduce.run_contexts import crew_of_one


@pytest.fixture
def counted(tmp_path):
    """A crew, a folder, and a job that writes how often it was done."""
    folder, calls = tmp_path / "stage", []

    def job():
        calls.append(1)
        (folder / "made").write_text("x" * len(calls))

    return crew_of_one(tmp_path), folder, job, calls


def test_a_stage_is_carried_out_once(counted, capsys):
    context, folder, job, calls = counted

    assert context.carry_out(folder, "a", job)
    assert not context.carry_out(folder, "a", job)

    assert len(calls) == 1
    assert "stage: done before, unchanged" in capsys.readouterr().out


def test_another_key_sets_the_old_work_aside_and_says_where(counted, capsys):
    context, folder, job, calls = counted
    context.carry_out(folder, "a", job)

    context.carry_out(folder, "b", job)

    assert len(calls) == 2
    assert (context.work / "aside" / "stage-a" / "made").read_text() == "x"
    assert "settings or inputs changed; what was there is now" in capsys.readouterr().out


def test_a_stage_that_keeps_what_it_can_use_is_not_set_aside(counted):
    context, folder, job, _ = counted
    context.carry_out(folder, "a", job)
    (folder / "more").touch()

    context.carry_out(folder, "b", job, keeps=True)

    assert (folder / "more").exists()
    assert is_done(folder, "b")


def test_a_result_that_is_gone_is_made_again(counted):
    context, folder, job, calls = counted
    context.carry_out(folder, "a", job, makes=[folder / "made"])
    (folder / "made").unlink()

    assert context.carry_out(folder, "a", job, makes=[folder / "made"])

    assert len(calls) == 2


def test_a_stage_that_fails_is_not_done_and_goes_on_next_time(counted):
    context, folder, job, _ = counted

    def fail():
        (folder / "half").touch()
        raise TrainingError("no room")

    with pytest.raises(TrainingError, match="no room"):
        context.carry_out(folder, "a", fail)
    assert read_record(folder).failed

    assert context.carry_out(folder, "a", job)
    assert (folder / "half").exists()


def test_nothing_is_begun_once_the_run_is_told_to_stop(tmp_path):
    context = crew_of_one(tmp_path, should_stop=lambda: True)

    with pytest.raises(ToldToStopError, match="stage was told to stop; what is done stays"):
        context.carry_out(tmp_path / "stage", "a", lambda: None)

    assert not (tmp_path / "stage").exists()


def test_sigterm_ends_work_that_may_end_anywhere():
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(ToldToStopError), ends_on_sigterm("the preparation"):
        signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is before


def test_one_process_has_all_the_work(tmp_path):
    assert list(crew_of_one(tmp_path).share(3)) == [0, 1, 2]
