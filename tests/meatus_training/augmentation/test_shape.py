import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus_training.augmentation import PAPER, AugmentSettings
from meatus_training.augmentation.settings import Shape
from meatus_training.augmentation.shape import draw_matrix, flip, sampling_grid, warp, warp_labels

CUBE = (1.0, 1.0, 1.0)
STILL = Shape(scale=(1, 1), turn_degrees=0, tilt_degrees=0, shear=0, spacing_mm=CUBE)


def rng(seed=0):
    return np.random.default_rng(seed)


def shaped(**changes):
    return AugmentSettings(shape=replace(STILL, **changes))


def block():
    labels = torch.zeros(8, 16, 16, dtype=torch.uint8)
    labels[3:5, 6:10, 6:10] = 3
    return labels.float() / 3, labels


def test_flips_reverse_image_and_labels_together():
    image = torch.arange(24.0).view(2, 3, 4)

    flipped, marked = flip(image, image.to(torch.uint8), rng(), shaped(flip_chance=1))

    assert torch.equal(flipped, image.flip(0, 1, 2))
    assert torch.equal(marked, flipped.to(torch.uint8))


def test_every_axis_is_flipped_on_its_own():
    image = torch.arange(8.0).view(2, 2, 2)
    corners = {
        flip(image, image, rng(seed), shaped(flip_chance=0.5))[0][0, 0, 0].item()
        for seed in range(60)
    }

    assert len(corners) == 8


def test_heads_stay_upright_where_flips_are_from_side_to_side():
    image = torch.arange(24.0).view(2, 3, 4)
    found = [
        flip(image, image, rng(seed), shaped(flip_chance=0.5, flips="left-right"))[0]
        for seed in range(20)
    ]

    assert all(torch.equal(one, image) or torch.equal(one, image.flip(2)) for one in found)
    assert len({one[0, 0, 0].item() for one in found}) == 2


@pytest.mark.parametrize("labels_by", ["nearest", "linear"])
def test_nothing_moves_where_scale_is_one_and_angles_are_zero(labels_by):
    image, labels = block()
    settings = shaped(affine_chance=1, elastic_chance=0, labels=labels_by)

    moved, marked = warp(image, labels, rng(), settings)

    torch.testing.assert_close(moved, image, atol=1e-5, rtol=0)
    assert torch.equal(marked, labels)


@pytest.mark.parametrize("labels_by", ["nearest", "linear"])
def test_twice_the_scale_doubles_a_block_along_all_axes(labels_by):
    image, labels = block()
    settings = shaped(affine_chance=1, elastic_chance=0, scale=(2, 2), labels=labels_by)

    _, marked = warp(image, labels, rng(), settings)

    expected = torch.zeros_like(labels)
    expected[2:6, 4:12, 4:12] = 3
    if labels_by == "linear":  # a corner voxel holds 0.75^3 of the block, less than a half
        for z, y, x in itertools.product((2, 5), (4, 11), (4, 11)):
            expected[z, y, x] = 0
    assert torch.equal(marked, expected)


def test_what_comes_from_outside_is_black_and_background():
    image, labels = torch.zeros(4, 8, 8), torch.ones(4, 8, 8, dtype=torch.uint8)
    settings = shaped(affine_chance=1, elastic_chance=0, scale=(0.5, 0.5))

    moved, marked = warp(image, labels, rng(), settings)

    assert moved[0, 0, 0].item() == -1
    assert int((marked == 1).sum()) == labels.numel() // 8
    assert torch.equal(marked[1:3, 2:6, 2:6], torch.ones(2, 4, 4, dtype=torch.uint8))


def test_a_turn_is_a_turn_in_millimetres_whatever_the_voxels():
    """A quarter turn in the plane: a bar along x of thick slices' voxels becomes one along y."""
    labels = torch.zeros(3, 9, 9, dtype=torch.uint8)
    labels[1, 4, 1:8] = 1
    rules = replace(STILL, spacing_mm=(3.0, 0.5, 0.5))
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])

    grid = sampling_grid(labels.float(), quarter, None, rules)

    assert torch.equal(warp_labels(labels, grid, rules), labels.transpose(1, 2))


def test_a_drawn_matrix_turns_and_scales_without_more():
    rules = replace(PAPER.shape, shear=0, scale=(1.25, 1.25))

    matrix = draw_matrix(rng(4), rules)

    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3) / 1.25**2, atol=1e-12)
    assert np.linalg.det(matrix) > 0


def test_an_elastic_displacement_has_the_size_that_was_asked_for():
    image = torch.zeros(10, 40, 40, dtype=torch.float64)
    rules = replace(STILL, elastic_mm=2.0)
    supports = torch.ones(1, 3, 2, 2, 2, dtype=torch.float64)

    grid = sampling_grid(image, np.eye(3), supports, rules)
    still = sampling_grid(image, np.eye(3), None, rules)

    steps = (grid - still)[0, 5, 20, 20] * torch.tensor([40, 40, 10]) / 2
    torch.testing.assert_close(steps, torch.full((3,), 2.0, dtype=torch.float64))


def test_linear_labels_are_the_class_with_the_largest_share():
    """Half a voxel to the right of an edge: 1 has 0.5 + 0.25 of it, moved by a quarter."""
    labels = torch.tensor([0, 0, 1, 1, 3, 3, 0, 0], dtype=torch.uint8).view(1, 1, 8)
    rules = replace(STILL, labels="linear")
    grid = sampling_grid(labels.double(), np.eye(3), None, rules)
    grid[..., 0] += 0.25 * 2 / 8  # a quarter of a voxel

    assert torch.equal(warp_labels(labels, grid, rules), labels)
    grid[..., 0] += 0.5 * 2 / 8  # three quarters
    assert torch.equal(warp_labels(labels, grid, rules)[0, 0, :6], labels[0, 0, 1:7])


def test_linear_labels_equal_the_full_argmax_over_all_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (6, 12, 12), generator=generator, dtype=torch.uint8)
    labels[:, :5] = 0
    matrix = draw_matrix(rng(1), replace(PAPER.shape, spacing_mm=CUBE))
    grid = sampling_grid(labels.double(), matrix, None, STILL)

    shares = torch.nn.functional.grid_sample(
        torch.stack([labels == n for n in (1, 2, 3)]).double()[None], grid, align_corners=False
    )[0]
    expected = torch.cat([1 - shares.sum(0, keepdim=True), shares]).argmax(0)

    found = warp_labels(labels, grid, replace(STILL, labels="linear"))
    assert torch.equal(found.long(), expected)


def test_labels_to_ignore_move_with_the_others():
    labels = torch.full((4, 8, 8), 255, dtype=torch.uint8)

    grid = sampling_grid(labels.float(), np.eye(3), None, STILL)

    assert torch.equal(warp_labels(labels, grid, STILL), labels)
