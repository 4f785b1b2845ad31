import numpy as np
import pytest

from meatus.report.measure import structure_masks
from meatus_evaluation.scoring.measures import dice
from meatus_evaluation.scoring.structure_score import boundary_assd_mm, compare
from meatus_evaluation.scoring.surface import EMPTY_MM, share_within, surface_distances

ONE_MM = (1.0, 1.0, 1.0)


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


@pytest.mark.parametrize("distance", ["assd_mm", "assd_means_mm", "hd95_mm"])
def test_an_empty_mask_lies_as_far_off_as_the_challenge_says_and_two_lie_together(distance):
    nothing, something = row(0, 0), row(0, 1)

    assert compare(nothing, something, ONE_MM)[distance] == EMPTY_MM == 350
    assert compare(something, nothing, ONE_MM)[distance] == EMPTY_MM
    assert compare(nothing, nothing, ONE_MM)[distance] == 0


def test_surface_dice_of_empty_masks_is_as_dice():
    assert compare(row(0, 0), row(0, 1), ONE_MM)["surface_dice"] == 0
    assert compare(row(0, 1), row(0, 0), ONE_MM)["surface_dice"] == 0
    assert compare(row(0, 0), row(0, 0), ONE_MM)["surface_dice"] == 1


def test_surface_distances_are_as_computed_on_paper():
    """Voxels at 0 against 0, 2 and 5 mm: from there 0; from here 0, 2 and 5."""
    one, three = row(1, 0, 0, 0, 0, 0), row(1, 0, 1, 0, 0, 1)

    score = compare(one, three, ONE_MM)
    assert score["assd_mm"] == pytest.approx((0 + 0 + 2 + 5) / 4)
    assert score["assd_means_mm"] == pytest.approx((0 + 7 / 3) / 2)
    assert score["hd95_mm"] == pytest.approx(2 + 0.85 * 3)  # 2.85 of 0, 0, 2, 5
    assert score["surface_dice"] == pytest.approx(2 / 4)
    assert share_within(surface_distances(one, three, ONE_MM), 2.0) == pytest.approx(3 / 4)


def test_a_distance_of_exactly_the_tolerance_is_within_it():
    """0.6 and 0.8 mm across are 1 mm, whatever the rounding of their squares."""
    masks = np.zeros((2, 1, 2, 2), dtype=bool)
    masks[0, 0, 0, 0] = masks[1, 0, 1, 1] = True

    assert compare(masks[0], masks[1], (0.6, 0.8, 1.0))["surface_dice"] == 1


def test_found_missed_false_positive_and_absent_are_told_apart():
    outcomes = {
        compare(found, truth, ONE_MM).outcome: (found, truth)
        for found in (row(0, 0), row(1, 0))
        for truth in (row(0, 0), row(1, 1), row(0, 1))
    }

    assert compare(row(1, 0), row(1, 1), ONE_MM).outcome == "found"
    assert compare(row(1, 0), row(0, 1), ONE_MM).outcome == "missed"
    assert compare(row(0, 0), row(0, 1), ONE_MM).outcome == "missed"
    assert set(outcomes) == {"found", "missed", "false positive", "absent"}


def test_parts_that_share_no_voxel_are_counted_on_both_sides():
    truth = row(1, 1, 0, 0, 1, 0, 0, 0, 0, 0)
    found = row(0, 1, 1, 0, 0, 0, 1, 0, 1, 1)

    score = compare(found, truth, (0.5, 1.0, 2.0))

    assert (score.reference_parts, score.missed_parts) == (2, 1)
    assert (score.false_positives, score.false_positives_mm3) == (2, 3)


def test_the_volume_error_is_prediction_minus_reference():
    score = compare(row(1, 1, 1, 0), row(0, 0, 1, 1), (0.5, 0.5, 1.0))

    assert (score["volume_mm3"], score["reference_mm3"]) == (0.75, 0.5)
    assert score["volume_error_mm3"] == 0.25
    assert score["volume_error_percent"] == pytest.approx(50)
    assert compare(row(1, 0), row(0, 0), ONE_MM)["volume_error_percent"] is None


def parts(first_intra):
    """A bar along x of 10 voxels, 2 high and 3 deep: extra-meatal up to ``first_intra``."""
    extra = np.zeros((3, 2, 10), dtype=bool)
    extra[..., :first_intra] = True
    return extra, ~extra


def test_the_boundary_between_the_parts_moves_as_far_as_the_labels_do():
    """A plane across x, three voxels of 0.4 mm further: every face is 1.2 mm from the other."""
    assert boundary_assd_mm(parts(4), parts(7), (0.4, 0.5, 1.0)) == pytest.approx(1.2)
    assert boundary_assd_mm(parts(4), parts(4), (0.4, 0.5, 1.0)) == 0


def test_a_tumour_of_one_part_has_no_boundary():
    assert boundary_assd_mm(parts(0), parts(4), ONE_MM) == EMPTY_MM
    assert boundary_assd_mm(parts(4), parts(10), ONE_MM) == EMPTY_MM
    assert boundary_assd_mm(parts(0), parts(10), ONE_MM) == 0


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
    masks = structure_masks(voxels).items()

    volumes = {name: compare(one, one, (0.5, 0.5, 1.5))["volume_mm3"] for name, one in masks}
    assert volumes == pytest.approx(
        {"extra_meatal": 1.125, "intra_meatal": 0.375, "whole_vs": 1.5, "cochlea": 0}
    )
