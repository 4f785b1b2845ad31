import math

import pytest
import torch

from training.losses import deep_loss, dice_loss

ONES = torch.ones(4)


def one_voxel_logits(scores):
    return torch.tensor(scores).view(1, 4, 1, 1, 1)


def test_a_certain_and_right_network_has_no_loss():
    labels = torch.tensor([0, 1, 2, 3]).view(1, 1, 2, 2)
    logits = 100 * torch.eye(4)[labels.flatten()].T.reshape(1, 4, 1, 2, 2)

    assert dice_loss(logits.softmax(1), labels).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_of_an_undecided_network_is_as_computed_on_paper():
    """One cochlea voxel, four equal scores: entropy ln 4; soft Dice (2/4 + 1) / (5/4 + 1)."""
    labels = torch.full((1, 1, 1, 1), 3)
    logits = (one_voxel_logits([0.0] * 4),) * 4

    loss = deep_loss(logits, labels, ONES)

    expected = (1 + 1 / 2 + 1 / 4 + 1 / 8) * (math.log(4) + 1 - 1.5 / 2.25)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_absent_classes_have_no_dice():
    labels = torch.zeros(1, 2, 4, 4, dtype=torch.long)

    assert dice_loss(torch.full((1, 4, 2, 4, 4), 0.25), labels).item() == 0


def test_confusing_the_two_tumour_parts_costs_less_than_missing_the_tumour():
    labels = torch.ones(1, 1, 4, 4, dtype=torch.long)
    as_intra = torch.eye(4)[torch.full((16,), 2)].T.reshape(1, 4, 1, 4, 4)
    as_background = torch.eye(4)[torch.full((16,), 0)].T.reshape(1, 4, 1, 4, 4)

    assert dice_loss(as_intra, labels) < dice_loss(as_background, labels)


def test_coarser_levels_compare_with_every_second_row_and_column():
    labels = torch.zeros(1, 1, 8, 8, dtype=torch.long)
    labels[..., ::2, ::2] = 3  # at half resolution everything is cochlea
    sure = 50 * torch.eye(4)
    full = sure[labels.flatten()].T.reshape(1, 4, 1, 8, 8)
    coarse = [
        sure[torch.full((n * n,), 3)].T.reshape(1, 4, 1, n, n) for n in (4, 2, 1)
    ]  # all of it cochlea

    assert deep_loss((full, *coarse), labels, ONES).item() == pytest.approx(0, abs=1e-5)
