from dataclasses import replace

import pytest
import torch
from torch import nn

from meatus_training.errors import TrainingError
from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.initial_weights import start_network
from meatus_training.segmentation.state import start_state
from meatus_training.segmentation.step import fitting_micro_batch, pass_alone
from tests.meatus_training.segmentation.runs import TINY, silent

CPU = make_fabric(accelerator="cpu")


class OneGpu:
    """What the choice asks of a process: alone, on a GPU."""

    world_size = 1
    device = torch.device("cuda", 0)


class Memory:
    """Holds so many windows; a pass of more fails as torch's does."""

    def __init__(self, windows):
        self.windows, self.tried = windows, []

    def __call__(self, count):
        self.tried.append(count)
        if count > self.windows:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(("room", "chosen"), [(99, 10), (9, 5), (4, 2), (1, 1)])
def test_as_many_windows_pass_as_memory_holds_and_share_the_batch(room, chosen):
    memory, lines = Memory(room), []

    assert fitting_micro_batch(10, OneGpu(), memory, lines.append) == chosen

    assert lines == [f"micro_batch: {chosen} of the 10 windows of a step in one pass"]
    assert memory.tried == [n for n in (10, 5, 2, 1) if n >= chosen]


def test_a_gpu_too_small_for_one_window_is_told():
    with pytest.raises(TrainingError, match="does not hold one window"):
        fitting_micro_batch(10, OneGpu(), Memory(0), silent)


def test_a_processor_takes_one_at_a_time():
    assert fitting_micro_batch(10, CPU, Memory(0), silent) == 1


def test_a_trial_pass_teaches_nothing():
    state = start_state(TINY, CPU, None)
    before = [p.clone() for p in state.network.parameters()]

    pass_alone(state, TINY, TINY.patch, 2)

    assert all(torch.equal(a, b) for a, b in zip(before, state.network.parameters(), strict=True))
    assert all(p.grad is None for p in state.network.parameters())


def test_he_initialisation_has_his_variance_and_no_biases():
    # Source of the figure: a normal of variance 2 / fan-in.
    network = start_network(replace(TINY, width=16, background_bias=0, initialisation="he"))

    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    large = [m for m in convolutions if m.weight.numel() > 20000]
    assert large
    for module in large:
        fan_in = module.weight[0].numel()
        assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert all(m.bias is None or not m.bias.any() for m in convolutions)
