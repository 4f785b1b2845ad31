import numpy as np
import pytest

from meatus.label_voting import count, disagreement, vote
from tests.shared_files import shared

EXTRA, INTRA, COCHLEA = 1, 2, 3
CASES = [
    "s01_normal_label1_first",
    "s02_normal_label2_first",
    "s03_vote_thresholds",
    "s04_label2_islands_label1_first",
    "s05_label2_islands_label2_first",
    "s06_components_single_label",
    "s07_components_both_labels_wins",
    "s08_tie_first_in_raster_order",
    "s09_corner_contact_is_connected",
    "s10_cochlea_fallback",
    "s11_cochlea_fallback_too_small",
    "s12_no_tumour",
    "s13_all_empty",
    "s14_bad_case",
    "s15_bad_case_no_label2",
    "s16_bad_case_one_empty_flip",
    "s17_dist_exactly_0p7",
    "s18_dist_just_above_0p7",
    "s19_salt_and_pepper",
]


@pytest.fixture(scope="module")
def golden():
    with np.load(shared("golden/postprocess.npz")) as arrays:
        return dict(arrays)


def eight(*voters, shape=(1, 1, 8)):
    """Eight label maps; ``voters`` gives each voxel (along x) its labels, 0 for the rest."""
    masks = np.zeros((8, *shape), dtype=np.uint8)
    for x, labels in enumerate(voters):
        masks[: len(labels), 0, 0, x] = labels
    return masks


@pytest.mark.parametrize("case", CASES)
def test_the_published_voting_is_reproduced(golden, case):
    masks = golden[f"{case}/masks"]
    leads = int(golden[f"{case}/label1_first"])

    result = vote(masks)

    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, golden[f"{case}/final"])
    assert disagreement(masks) == pytest.approx(float(golden[f"{case}/dist"]), abs=1e-12)
    assert (disagreement(masks) > 0.7) == bool(golden[f"{case}/bad_case"])
    if leads >= 0:  # the reference decides this only where it trusts the majority
        assert count(masks).extra_meatal_leads == bool(leads)


def test_every_published_case_is_tried(golden):
    assert sorted(golden["case_names"].tolist()) == CASES


@pytest.mark.parametrize("case", ["s02_normal_label2_first", "s14_bad_case"])
def test_the_order_of_the_predictions_does_not_matter(golden, case):
    masks = golden[f"{case}/masks"]

    np.testing.assert_array_equal(vote(masks[::-1]), vote(masks))


def test_six_votes_make_a_tumour_and_five_a_cochlea():
    sure = [EXTRA] * 8
    masks = eight(sure, sure, [EXTRA] * 6, [EXTRA] * 5, [], [COCHLEA] * 5, [COCHLEA] * 4)

    np.testing.assert_array_equal(vote(masks)[0, 0], [1, 1, 1, 0, 0, 3, 0, 0])


def test_a_tumour_voxel_without_majority_for_a_label_gets_the_weaker_one():
    """Three voxels are extra-meatal in all eight, one is intra-meatal in any."""
    masks = eight([EXTRA] * 8, [EXTRA] * 8, [EXTRA] * 8, [EXTRA] * 4 + [INTRA] * 4)

    np.testing.assert_array_equal(vote(masks)[0, 0], [1, 1, 1, 2, 0, 0, 0, 0])


def test_disagreement_counts_voxels_that_not_all_mark():
    """Of three marked voxels all eight mark one: (3 - 1) / (1 + 3 + 1)."""
    masks = eight([EXTRA] * 8, [EXTRA] * 7, [COCHLEA])

    assert disagreement(masks) == pytest.approx(0.4)


def test_where_predictions_share_nothing_all_that_any_marked_is_taken():
    """Eight voxels, none in all: 8 / 9 is above 0.7."""
    masks = eight(*[[label] for label in (1, 1, 2, 2, 3, 3, 1, 2)])

    np.testing.assert_array_equal(vote(masks)[0, 0], [1, 1, 2, 2, 3, 3, 1, 2])


def test_predictions_without_any_label_give_an_empty_map():
    masks = np.zeros((8, 3, 4, 5), dtype=np.uint8)

    result = vote(masks)

    assert (result.shape, result.dtype, result.any()) == ((3, 4, 5), np.uint8, False)
    assert disagreement(masks) == 0


def test_predictions_without_any_slice_give_a_map_without_any():
    assert vote(np.zeros((8, 0, 4, 5), dtype=np.uint8)).shape == (0, 4, 5)
