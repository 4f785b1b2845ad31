"""Two processes that train together."""

import multiprocessing
from dataclasses import replace

import torch
import torch.distributed as dist

from tests.training.translate_runs import CPU, TINY, toy_data
from training.translate.data import SlicePairs, step_batches
from training.translate.state import start_state
from training.translate.step import train_step
from training.translate.team import this_team


def gradients_and_losses(rank, world):
    """Of one step of process ``rank``."""
    config = replace(TINY, batch=4)
    state = start_state(config, CPU)
    pairs = SlicePairs(toy_data(), config)
    source, target, _ = next(step_batches(pairs, range(1), rank, world))
    _, losses = train_step(state, (source, target, None), config, 0, this_team())
    gradients = [p.grad.flatten() for n in state.networks for p in n.parameters()]
    return torch.cat(gradients), losses


def as_one_of_two(rank, folder):
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        torch.save(gradients_and_losses(rank, 2), folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_get_the_gradients_of_one_with_the_whole_batch(tmp_path):
    other = multiprocessing.get_context("spawn").Process(target=as_one_of_two, args=(1, tmp_path))
    other.start()
    as_one_of_two(0, tmp_path)
    other.join()

    alone = gradients_and_losses(0, 1)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first[0], second[0])
    torch.testing.assert_close(first[0], alone[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(first[1], alone[1], rtol=1e-5, atol=1e-6)
