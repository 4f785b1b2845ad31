"""Wider networks that say the same."""

import pytest
import torch

from meatus_training.networks import ResUNet25d
from meatus_training.segmentation.initial_weights import widen


@pytest.mark.parametrize("times", [2, 3])
def test_a_widened_network_says_the_same_at_every_level(times):
    torch.manual_seed(0)
    narrow = ResUNet25d(4, blocks=2)
    image = torch.randn(1, 1, 3, 32, 48)

    wide = widen(narrow, times, seed=1)

    assert wide.width == 4 * times
    with torch.no_grad():
        for found, wanted in zip(wide.forward_deep(image), narrow.forward_deep(image), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_twins_are_told_apart_by_what_follows_so_that_they_part_in_training():
    torch.manual_seed(0)
    wide = widen(ResUNet25d(4, blocks=1), 2, seed=1)
    image = torch.randn(1, 1, 3, 32, 32)

    wide(image).square().sum().backward()

    gradient = wide.backbone.in_conv.conv[0].weight.grad
    twins = gradient.view(4, 2, -1)
    assert (twins[:, 0] - twins[:, 1]).norm() > 0.1 * gradient.norm()
