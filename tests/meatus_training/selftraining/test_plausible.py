"""Label maps that no ear looks like, each wrong in one way."""

from dataclasses import replace

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.structures import Structure
from meatus_training.selftraining.plausible import Anatomy, cochlea_pieces, middle_mm, objections
from tests.meatus_training.selftraining.ears import GRID, box, ears

RULES = Anatomy()


def only(labels, rules=RULES, geometry=GRID):
    """The one objection to ``labels``."""
    (found,) = objections(labels, geometry, rules)
    return found


def test_two_ears_with_a_tumour_on_one_side_are_plausible():
    assert objections(ears(), GRID) == ()


def test_the_mirrored_head_is_plausible_too():
    assert objections(ears()[..., ::-1], GRID) == ()


def test_the_middle_of_a_structure_is_in_the_patients_millimetres():
    np.testing.assert_allclose(middle_mm(ears() == Structure.INTRA_MEATAL, GRID), [26, 2, -0.5])


def test_a_canal_without_tumour_is_missed():
    labels = ears()
    labels[labels == Structure.INTRA_MEATAL] = 0

    assert only(labels) == "intra_meatal: 0 mm3, expected at least 20"


def test_a_head_without_any_tumour_may_be_allowed():
    labels = ears()
    labels[labels < Structure.COCHLEA] = 0

    assert only(labels).startswith("intra_meatal: 0 mm3")
    assert objections(labels, GRID, Anatomy(tumour_needed=False)) == ()


def test_volumes_are_bounded_with_some_slack():
    rules = Anatomy(intra_mm3=(20.0, 150.0))

    assert only(ears(), rules) == "intra_meatal: 200 mm3, expected at most 150"
    assert objections(ears(), GRID, replace(rules, slack=0.4)) == ()


def test_volumes_are_in_cubic_millimetres():
    fine = Geometry(GRID.size, (0.5, 0.5, 0.5), GRID.origin_mm)

    said = objections(ears(), fine)

    assert "cochlea: 30 mm3, expected at least 70" in said


def test_a_third_cochlea_is_one_too_many():
    labels = ears()
    box(labels, Structure.COCHLEA, (60, 63), (50, 53), (2, 5))

    assert only(labels) == "cochlea: 3 pieces, expected one per side"


def test_a_speck_is_no_third_cochlea():
    labels = ears()
    box(labels, Structure.COCHLEA, (60, 62), (50, 52), (2, 3))

    assert objections(labels, GRID) == ()


def test_two_turns_with_a_small_gap_are_one_cochlea():
    labels = ears()
    labels[:, :, 100] = 0  # one millimetre out of the left cochlea

    assert len(cochlea_pieces(labels, GRID, Anatomy())) == 2
    assert objections(labels, GRID) == ()


def test_cochleae_too_near_to_one_another_are_no_pair():
    labels = ears()
    labels[labels == Structure.COCHLEA] = 0
    box(labels, Structure.COCHLEA, (98, 104), (28, 33), (13, 17))
    box(labels, Structure.COCHLEA, (62, 68), (28, 33), (13, 17))

    assert "cochlea: sides 36 mm apart, expected 45 to 95" in objections(labels, GRID)


def test_one_cochlea_is_not_enough_where_the_scan_shows_the_other_side():
    labels = ears()
    labels[..., :64] = 0

    assert only(labels) == "cochlea: on one side only, and the scan shows the other side"


def test_one_cochlea_is_enough_where_the_scan_ends_before_the_other_side():
    half = GRID.crop((64, 0, 0), (66, 60, 30))

    assert objections(ears()[..., 64:], half) == ()


def test_a_tumour_in_two_pieces_is_none():
    labels = ears()
    box(labels, Structure.EXTRA_MEATAL, (74, 78), (2, 10), (3, 11))  # 256 mm3 elsewhere

    assert only(labels) == "tumour: largest piece holds 74% of it"


def test_a_canal_far_from_either_cochlea_is_none():
    labels = ears()
    labels[labels == Structure.INTRA_MEATAL] = 0
    box(labels, Structure.INTRA_MEATAL, (68, 78), (30, 35), (13, 17))

    assert "intra_meatal: 28 mm from a cochlea, expected 3 to 25" in objections(labels, GRID)


def test_a_canal_outside_its_cochlea_is_none():
    labels = ears()
    labels[(labels == 1) | (labels == 2)] = 0
    box(labels, Structure.INTRA_MEATAL, (108, 118), (30, 35), (13, 17))

    assert only(labels) == "intra_meatal: not between its cochlea and the midline"


def test_what_lies_further_out_than_the_canal_does_not_grow_from_it():
    labels = ears()
    labels[labels == Structure.EXTRA_MEATAL] = 0
    box(labels, Structure.EXTRA_MEATAL, (90, 96), (35, 43), (11, 19))

    assert only(labels) == "extra_meatal: further out than the canal it grows from"


@pytest.mark.parametrize("structures", [(), (1, 2, 3)])
def test_an_empty_map_is_implausible_but_can_be_judged(structures):
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[: len(structures), 0, 0] = structures

    assert objections(labels, GRID)
