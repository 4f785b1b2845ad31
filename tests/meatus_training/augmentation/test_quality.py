import numpy as np
import pytest
import torch

from meatus_training.augmentation import AugmentSettings
from meatus_training.augmentation.quality import add_noise, lower_resolution, repeat_slices
from meatus_training.augmentation.settings import Quality


def rng(seed=0):
    return np.random.default_rng(seed)


def test_noise_has_the_strength_that_was_asked_for():
    settings = AugmentSettings(quality=Quality(noise_chance=1, noise=(0.1, 0.1)))
    image = torch.zeros(20, 50, 50)

    noisy, _ = add_noise(image, torch.zeros(1), rng(), settings)

    assert noisy.std().item() == pytest.approx(0.1, rel=0.02)


def test_lower_resolution_makes_blocks_alike():
    settings = AugmentSettings(quality=Quality(low_chance=1, low_factor=(2, 2)))
    board = torch.ones(4, 8, 8) * 0.5
    board[..., ::2] = -0.5

    low, _ = lower_resolution(board, torch.zeros(1), rng(), settings)

    assert low.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_repeated_slices_come_with_their_labels_in_runs_of_one_length():
    image = torch.arange(12.0).view(-1, 1, 1).expand(12, 4, 4) / 12
    labels = torch.arange(12, dtype=torch.uint8).view(-1, 1, 1).expand(12, 4, 4)
    settings, lengths = AugmentSettings(quality=Quality(repeat_chance=1)), set()
    for seed in range(40):
        shown, marked = repeat_slices(image, labels, rng(seed), settings)

        numbers = marked[:, 0, 0].tolist()
        assert numbers == sorted(numbers)
        assert torch.equal(shown, image[marked[:, 0, 0].long()])
        runs = [numbers.count(number) for number in dict.fromkeys(numbers)]
        assert len(set(runs[1:-1])) <= 1
        lengths.add(max(runs))
    assert 2 in lengths
    assert 12 in lengths  # one slice fills the window
