"""Two processes that train together."""

import multiprocessing
import os
import socket
from dataclasses import replace

import torch
import torch.distributed as dist

from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.state import start_state
from meatus_training.segmentation.step import train_step
from meatus_training.segmentation.train import train_segmenter
from meatus_training.segmentation.windows import WindowSet, batches
from tests.meatus_training.segmentation.runs import TINY, silent, toy_scans, weights

SETTINGS = replace(TINY, clip=1e9)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def gradients(scans, fabric):
    """Of the first step, before it changes anything of note."""
    state = start_state(SETTINGS, fabric, None)
    windows = WindowSet(scans, SETTINGS, whole=False, augment=True)
    share = batches(windows, range(1), fabric.global_rank, fabric.world_size)
    train_step(state, share, SETTINGS, augment=False)
    return torch.cat([p.grad.flatten() for p in state.network.parameters()])


def as_one_of_two(rank, port, folder):
    """What torchrun would set, then a step and a whole training."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "LOCAL_WORLD_SIZE": "2"}
    fabric = make_fabric(devices=2, strategy="ddp", accelerator="cpu")
    try:
        scans = toy_scans(folder / f"scans{rank}")
        found = gradients(scans, fabric)
        told = iter([False, False, rank == 1])  # one of them hears the signal, both stop
        run = train_segmenter(
            scans, TINY, folder / "run", fabric, say=silent, should_stop=lambda: next(told)
        )
        torch.save([found, weights(run.network), run.step], folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_get_the_gradients_of_one_that_adds_up_the_same_two_windows(tmp_path):
    port, context = free_port(), multiprocessing.get_context("spawn")
    both = [context.Process(target=as_one_of_two, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join()

    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = gradients(toy_scans(tmp_path / "alone"), make_fabric(accelerator="cpu"))
    assert torch.equal(first[0], second[0])
    torch.testing.assert_close(first[0], alone, rtol=1e-4, atol=1e-6)
    assert torch.equal(first[1], second[1])
    assert first[2] == second[2] == 2
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 2
