"""Stages that are carried out once, and what happens when one is told to stop or fails."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from meatus_training.errors import TrainingError
from meatus_training.runs.run_context import (
    Launch,
    Part,
    RunContext,
    ToldToStopError,
    ends_on_sigterm,
    side_by_side,
)
from meatus_training.runs.stage_records import begin, is_done, read_record
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


@pytest.fixture
def at_work(counted):
    """A run that is at work on the stage, until it is told that it may end."""
    context, folder, job, _ = counted
    begun, may_end = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert may_end.wait(20)
        job()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(context.carry_out, folder, "a", slow)
        assert begun.wait(20)
        yield pool, first, may_end
        may_end.set()


def test_a_second_run_waits_and_finds_the_stage_done(counted, at_work, capsys):
    context, folder, job, calls = counted
    pool, first, may_end = at_work
    second = pool.submit(crew_of_one(context.work).carry_out, folder, "a", job)
    told, until = "", time.monotonic() + 20
    while "another run works on it; waiting" not in told and time.monotonic() < until:
        told += capsys.readouterr().out
        time.sleep(0.05)
    may_end.set()

    assert (first.result(20), second.result(20)) == (True, False)
    assert len(calls) == 1
    told += capsys.readouterr().out
    assert told.count("stage: another run works on it; waiting") == 1
    assert "stage: done before, unchanged" in told


def test_whoever_waits_for_another_run_can_be_told_to_stop(counted, at_work):
    context, folder, job, calls = counted

    with pytest.raises(ToldToStopError):
        crew_of_one(context.work, lambda: True).carry_out(folder, "a", job)

    assert not calls


def test_several_processes_do_not_wait_for_another_run(counted, at_work):
    context, folder, job, calls = counted

    with pytest.raises(TrainingError, match="stage: another run works on it; run the same command"):
        replace(context, fabric=OneOfTwo()).carry_out(folder, "a", job)

    assert not calls


def test_a_stage_is_free_again_where_its_run_failed(counted):
    context, folder, job, _ = counted
    with pytest.raises(ZeroDivisionError):
        context.carry_out(folder, "a", lambda: 1 / 0)

    assert crew_of_one(context.work).carry_out(folder, "a", job)


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


@pytest.mark.parametrize(
    ("parts", "processes", "apart", "shared"),
    [
        (5, 1, [[]], [0, 1, 2, 3, 4]),  # nobody to share with
        (5, 2, [[0, 2], [1, 3]], [4]),
        (4, 2, [[0, 2], [1, 3]], []),
        (2, 4, [[], [], [], []], [0, 1]),  # side by side, two devices would idle
        (9, 4, [[0, 4], [1, 5], [2, 6], [3, 7]], [8]),
    ],
)
def test_parts_are_done_side_by_side_as_far_as_all_have_as_many(parts, processes, apart, shared):
    found = side_by_side(parts, processes)

    assert [list(own) for own in found[0]] == apart
    assert list(found[1]) == shared


class OneOfTwo:
    """The first of two processes, as a Fabric would have it; the other one is not there."""

    def __init__(self, rank=0):
        self.global_rank, self.world_size, self.is_global_zero = rank, 2, rank == 0
        self.device = torch.device("cpu")

    def broadcast(self, value):
        return value

    def barrier(self):
        pass

    def print(self, line, flush):
        print(line)


def parts_of(work, calls):
    def job(number):
        def do(context):
            calls.append((number, context.alone, context.launched("fp32").world_size))

        return do

    return [Part(work / f"part_{number}", "key", job(number)) for number in range(2)]


def test_each_of_two_processes_does_parts_of_its_own_and_waits_for_the_others(tmp_path):
    calls = []
    first = RunContext(tmp_path, Launch(accelerator="cpu"), OneOfTwo(), lambda: False)
    parts = parts_of(tmp_path, calls)
    first_done = threading.Thread(target=first.carry_out_all, args=[parts])
    first_done.start()
    while not is_done(parts[0].folder, "key"):
        time.sleep(0.01)
    assert first_done.is_alive(), "it waits for the second part"

    second = RunContext(tmp_path, Launch(accelerator="cpu"), OneOfTwo(1), lambda: False)
    second._work_apart(parts[1:])
    first_done.join(timeout=30)

    assert not first_done.is_alive()
    assert calls == [(0, "part_0", 1), (1, "part_1", 1)]
    assert all(is_done(part.folder, "key") for part in parts)


def test_where_one_part_fails_nobody_waits_for_those_behind_it(tmp_path):
    def fail(_context):
        raise TrainingError("no room")

    context = RunContext(tmp_path, Launch(accelerator="cpu"), OneOfTwo(), lambda: False)
    parts = [Part(tmp_path / name, "key", fail) for name in ("one", "two")]
    for part in parts:
        begin(part.folder, "key", None)

    with pytest.raises(TrainingError, match="no room"):
        context._work_apart(parts)

    assert all(read_record(part.folder).failed for part in parts)
    with pytest.raises(TrainingError, match="two: its process gave up"):
        context._await(parts[1].folder, "key")


def test_whoever_waits_ends_when_the_process_that_started_it_is_gone(tmp_path, monkeypatch):
    context = RunContext(tmp_path, Launch(accelerator="cpu"), OneOfTwo(1), lambda: False)
    begin(tmp_path / "stage", "key", None)
    monkeypatch.setattr("os.getppid", lambda: 1)

    with pytest.raises(TrainingError, match="the process that started this one is gone"):
        context._await(tmp_path / "stage", "key")


def test_with_one_process_all_parts_follow_one_another(tmp_path):
    calls = []
    context = crew_of_one(tmp_path)

    context.carry_out_all(parts_of(tmp_path, calls))

    assert [call[:2] for call in calls] == [(0, ""), (1, "")]
