import numpy as np
import pytest

from evaluation.metrics import dice, structure_masks, volumes_mm3
from inference.geometry import Geometry
from inference.volumes import Labels


def row(*values):
    return np.array(values, dtype=bool).reshape(1, 1, -1)


def test_dice_is_twice_the_overlap_over_the_sum_of_sizes():
    """One voxel is shared; three and two are marked."""
    assert dice(row(1, 1, 1, 0), row(0, 0, 1, 1)) == pytest.approx(2 * 1 / (3 + 2))


def test_dice_does_not_depend_on_the_order():
    assert dice(row(1, 1, 1, 0), row(0, 0, 1, 1)) == dice(row(0, 0, 1, 1), row(1, 1, 1, 0))


def test_equal_masks_score_one_and_disjoint_masks_zero():
    assert dice(row(0, 1, 1), row(0, 1, 1)) == 1
    assert dice(row(1, 0, 0), row(0, 1, 1)) == 0


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    assert dice(row(0, 0), row(0, 0)) == 1
    assert dice(row(0, 0), row(0, 1)) == 0
    assert dice(row(0, 1), row(0, 0)) == 0


def test_the_whole_tumour_is_both_of_its_parts():
    masks = structure_masks(np.array([[[0, 1, 2, 3]]], dtype=np.uint8))

    assert {name: mask.ravel().tolist() for name, mask in masks.items()} == {
        "extra_meatal": [False, True, False, False],
        "intra_meatal": [False, False, True, False],
        "whole_vs": [False, True, True, False],
        "cochlea": [False, False, False, True],
    }


def test_volumes_are_in_cubic_millimetres():
    """A voxel has 0.5 x 0.5 x 1.5 = 0.375 mm3."""
    voxels = np.array([[[0, 1, 1], [2, 0, 0]], [[1, 0, 0], [0, 0, 0]]], dtype=np.uint8)
    labels = Labels(voxels, Geometry((3, 2, 2), (0.5, 0.5, 1.5), (0, 0, 0)))

    assert volumes_mm3(labels) == pytest.approx(
        {"extra_meatal": 1.125, "intra_meatal": 0.375, "whole_vs": 1.5, "cochlea": 0}
    )
