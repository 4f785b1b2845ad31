"""Two processes that train together."""

from dataclasses import replace

import torch
from lightning.fabric import Fabric

from meatus_training.translation.data import Pairs, SlicePairs, step_batches
from meatus_training.translation.state import start_state
from meatus_training.translation.train import train_step, train_translation
from tests.meatus_training.translation.runs import CPU, TINY, silent, toy_data, weights

SETTINGS = replace(TINY, batch=4)


def gradients_and_losses(fabric):
    """Of one step of this process."""
    state = start_state(SETTINGS, fabric)
    pairs = SlicePairs(toy_data(), SETTINGS)
    share = step_batches(pairs, range(1), fabric.global_rank, fabric.world_size)
    source, target, _, labels = next(share)
    _, losses = train_step(state, Pairs(source, target, None, labels), SETTINGS, 0, fabric)
    gradients = [p.grad.flatten() for n in state.networks for p in n.parameters()]
    return torch.cat(gradients), losses


def as_one_of_two(fabric, folder):
    torch.set_num_threads(1)
    torch.save(gradients_and_losses(fabric), folder / f"{fabric.global_rank}.pt")
    asked = iter(range(99))

    def only_the_second_is_told():
        return fabric.global_rank == 1 and next(asked) == 0

    # Asked after ten steps: twelve would be all.
    settings = replace(SETTINGS, epochs=4)
    told = train_translation(
        toy_data(), settings, folder / "run", fabric, silent, only_the_second_is_told
    )
    ended = train_translation(toy_data(), settings, folder / "run", fabric, silent)
    steps = (told.step, told.finished, ended.step, ended.finished)
    torch.save((steps, weights(ended)), folder / f"run_{fabric.global_rank}.pt")


def test_two_processes_get_the_gradients_of_one_with_the_whole_batch(tmp_path):
    pair = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    pair.launch(as_one_of_two, tmp_path)

    alone = gradients_and_losses(CPU)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first[0], second[0])
    torch.testing.assert_close(first[0], alone[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(first[1], alone[1], rtol=1e-5, atol=1e-6)

    # If one is told to stop both do; both go on and stay alike.
    runs = [torch.load(tmp_path / f"run_{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert runs[0][0] == runs[1][0] == (10, False, 12, True)
    assert torch.equal(runs[0][1], runs[1][1])
