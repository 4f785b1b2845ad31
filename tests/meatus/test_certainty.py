"""The Dice that probabilities expect, on maps where it can be worked out by hand."""

import numpy as np
import pytest

from meatus.certainty import NEAR_MM, confidence, expected_tumour
from meatus.geometry import Geometry, axial, reorient
from meatus.structures import Structure
from meatus.volumes import Labels, Probabilities

GRID = Geometry((6, 5, 4), (0.5, 0.5, 1.0), (10.0, -3.0, 7.0))
EXTRA, INTRA, COCHLEA = Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL, Structure.COCHLEA


def probabilities(*parts, grid=GRID):
    """All background, but ``(structure, where, p)`` for each of ``parts``."""
    voxels = np.zeros((4, *grid.shape), np.float32)
    for structure, where, p in parts:
        voxels[structure][where] = p
    voxels[0] = 1 - voxels[1:].sum(axis=0)
    return Probabilities(voxels, grid, grid)


def labelled(*parts, grid=GRID):
    voxels = np.zeros(grid.shape, np.uint8)
    for structure, where in parts:
        voxels[where] = structure
    return Labels(voxels, grid)


def expected_dice(p, labels):
    return expected_tumour(p, labels)[0]


def test_a_certain_tumour_expects_a_dice_of_one_and_none_expects_nothing():
    here = np.s_[1, 1:3, 1:3]

    assert expected_dice(probabilities((EXTRA, here, 1.0)), labelled((EXTRA, here))) == 1
    assert expected_dice(probabilities((COCHLEA, here, 1.0)), labelled((COCHLEA, here))) is None


def test_voxels_that_may_be_wrong_and_voxels_that_may_be_missing_both_count():
    """Four found voxels of 0.8, two left out of 0.4: 2 * 3.2 / (4 + 3.2 + 0.8) = 0.8."""
    sure = (EXTRA, np.s_[1, 1:3, 1:3], 0.8)
    missing = (INTRA, np.s_[2, 1, 1:3], 0.4)
    tails = (EXTRA, np.s_[3], 0.04)

    found = expected_dice(probabilities(sure, missing, tails), labelled(sure[:2]))

    assert found == pytest.approx(0.8)


def test_confidence_is_the_mean_of_what_wins_by_either_ear():
    wide = Geometry((40, 5, 4), (0.5, 0.5, 1.0), (10.0, -3.0, 7.0))
    sure, unsure = (COCHLEA, np.s_[1, 1:3, 2:4], 0.9), (EXTRA, np.s_[2, 2, 37], 0.6)
    loses = (INTRA, np.s_[3, 2, 20], 0.4)

    found = confidence(probabilities(sure, unsure, loses, grid=wide))

    assert found == pytest.approx((4 * 0.9 + 0.6) / 5)
    assert confidence(probabilities(loses, grid=wide)) is None
    assert confidence(probabilities(grid=wide)) is None


def test_both_parts_of_the_tumour_are_one():
    p = probabilities((EXTRA, np.s_[1, 1, 1:3], 0.5))
    p.voxels[INTRA][1, 1, 1:3] = 0.5

    assert expected_dice(p, labelled((INTRA, np.s_[1, 1, 1:3]))) == pytest.approx(1)


def test_labels_on_another_grid_in_another_axis_order_are_met_where_they_lie():
    fine = Geometry((12, 10, 4), (0.25, 0.25, 1.0), (9.875, -3.125, 7.0))
    coarse_part, fine_part = np.s_[1, 1:3, 2:4], np.s_[1, 2:6, 4:8]
    turned = Geometry(
        (4, 10, 12), (1.0, 0.25, 0.25), (12.625, -3.125, 7.0), (0, 0, -1, 0, 1, 0, 1, 0, 0)
    )
    upright = labelled((EXTRA, fine_part), grid=fine)
    other = Labels(reorient(upright.voxels, fine, turned), turned)
    assert axial(turned).origin_mm == pytest.approx(fine.origin_mm)

    p = probabilities((EXTRA, coarse_part, 1.0))

    assert expected_dice(p, upright) == 1
    assert expected_dice(p, other) == 1


def test_a_tumour_too_small_for_the_networks_grid_is_not_expected_at_all():
    fine = Geometry((60, 50, 4), (0.05, 0.05, 1.0), (9.775, -3.225, 7.0))

    assert expected_dice(probabilities(), labelled((EXTRA, np.s_[1, 0, 0]), grid=fine)) == 0


def test_what_lies_farther_off_is_told_apart_from_the_outline_of_what_is_marked():
    """Marked: 4 voxels of 1. Along x, 0.5 mm apart, 20 of 0.5 from there on, 10 mm and no more."""
    grid = Geometry((60, 5, 4), (0.5, 0.5, 1.0), (0.0, 0.0, 0.0))
    steps = int(NEAR_MM / 0.5)
    p = probabilities((EXTRA, np.s_[1, 1, :4], 1.0), (INTRA, np.s_[1, 1, 4:54], 0.5), grid=grid)

    dice, elsewhere_mm3 = expected_tumour(p, labelled((EXTRA, np.s_[1, 1, :4]), grid=grid))

    assert dice == pytest.approx(2 * 4 / (4 + 4 + 0.5 * steps))
    assert elsewhere_mm3 == pytest.approx(0.5 * (50 - steps) * grid.voxel_mm3)


def test_without_a_mark_all_that_is_likely_is_elsewhere():
    p = probabilities((EXTRA, np.s_[1, 1, 1:3], 0.4), (INTRA, np.s_[3], 0.04))

    assert expected_tumour(p, labelled()) == (None, pytest.approx(0.8 * GRID.voxel_mm3))
