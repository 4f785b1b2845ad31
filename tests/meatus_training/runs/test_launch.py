import os
import signal
import warnings

import click
import pytest
import torch
from click.testing import CliRunner

from meatus_training.errors import TrainingError
from meatus_training.runs.launch import (
    StoppedError,
    launch_options,
    lone_fabric,
    make_fabric,
    stop_when_told,
    together,
    usable_precision,
    use_given_threads,
)


@pytest.fixture
def own_signals():
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_ends_nothing(number):
    told = stop_when_told()
    assert not told()

    os.kill(os.getpid(), number)

    assert told()


def test_one_process_decides_for_itself():
    assert together(make_fabric(accelerator="cpu"), 0.25, 1.0) == (0.25, 1.0)


@pytest.mark.parametrize(("has_it", "taken"), [(True, "bf16"), (False, "fp32")])
def test_half_precision_on_a_processor_is_bfloat16_where_it_has_that(monkeypatch, has_it, taken):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_it)

    assert usable_precision("fp16", "cpu") == taken
    assert usable_precision("bf16", "cpu") == taken
    assert usable_precision("fp16", "cuda") == "fp16"
    assert usable_precision("fp32", "cpu") == "fp32"


def test_threads_are_as_many_as_the_environment_says(monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        use_given_threads()
        assert torch.get_num_threads() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "many")
        use_given_threads()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_starts():
    with pytest.raises(TrainingError, match="no CUDA device"):
        make_fabric(accelerator="cuda")


def test_what_was_stopped_says_how_to_go_on():
    assert str(StoppedError("the training of a", "step 7")) == (
        "the training of a was told to stop and saved step 7; run the same command again to go on."
    )


def test_a_command_gets_the_four_options():
    seen = {}

    @click.command()
    @launch_options
    def command(**options):
        seen.update(options)

    CliRunner().invoke(command, ["--devices", "2", "--strategy", "ddp"])

    assert seen == {"devices": 2, "nodes": 1, "strategy": "ddp", "accelerator": "auto"}


def test_a_machine_with_slurm_is_used_without_a_word(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert make_fabric(accelerator="cpu").world_size == 1
        assert lone_fabric(torch.device("cpu")).world_size == 1
