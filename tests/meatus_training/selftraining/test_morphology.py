"""Morphology in millimetres and Otsu's threshold, on answers counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from meatus.geometry import Geometry
from meatus_training.selftraining.morphology import ball, dilate, fill_slices, otsu


def grid(shape, spacing_mm=(1.0, 1.0, 1.0)):
    return Geometry(shape[::-1], spacing_mm, (0.0, 0.0, 0.0))


def dot(shape, at):
    mask = np.zeros(shape, dtype=bool)
    mask[at] = True
    return mask


def test_a_ball_of_one_voxel_is_a_voxel_and_its_six_faces():
    assert ball(1.0, grid((3, 3, 3))).sum() == 7


def test_a_ball_of_two_millimetres_counts_the_centres_within_it():
    # 33 whole-number points lie within 2 of the origin.
    assert ball(2.0, grid((5, 5, 5))).sum() == 33


def test_a_ball_reaches_the_next_slice_however_far_that_is():
    element = ball(1.0, grid((3, 5, 5), (0.5, 0.5, 3.0)))

    assert element.shape == (3, 5, 5)
    assert element[0].sum() == 1
    assert element[1].sum() == 13  # whole-number points within 2


def test_dilation_is_that_of_the_whole_array():
    rng = np.random.default_rng(1)
    geometry = grid((8, 20, 22), (0.6, 0.5, 1.0))
    mask = rng.random(geometry.shape) > 0.995
    assert mask.any()

    grown = dilate(mask, 1.5, geometry)

    np.testing.assert_array_equal(grown, ndimage.binary_dilation(mask, ball(1.5, geometry)))


def test_dilation_ends_at_the_border():
    mask = dot((3, 3, 3), (0, 0, 0))

    assert dilate(mask, 1.0, grid(mask.shape)).sum() == 4


def test_nothing_grows_from_nothing():
    mask = np.zeros((3, 4, 5), dtype=bool)

    assert not dilate(mask, 2.0, grid(mask.shape)).any()


def test_holes_are_filled_within_a_slice_though_the_next_one_opens_them():
    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    mask = np.stack([ring, np.zeros_like(ring)])

    filled = fill_slices(mask)

    assert filled[0].all()
    assert not filled[1].any()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_otsu_parts_two_levels_in_their_middle_however_many_there_are_of_each(share):
    values = np.where(np.arange(1000) < 1000 * share, 10.0, 20.0)

    assert otsu(values) == pytest.approx(15.0, abs=0.05)


def test_of_two_ways_that_part_as_far_otsu_takes_one_and_not_what_lies_between():
    # 0 | 15, 18, 33 and 0, 15, 18 | 33 part alike; 0, 15 | 18, 33 less.
    assert not 15 <= otsu(np.array([0.0, 15.0, 18.0, 33.0])) <= 18


def test_otsu_of_one_level_is_that_level():
    assert otsu(np.full(7, 3.0)) == pytest.approx(3.0, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=40))
def test_no_other_threshold_parts_the_values_further(values):
    array = np.array(values, dtype=float)
    found = otsu(array)

    def between(threshold):
        low, high = array[array <= threshold], array[array > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) * len(high) else 0

    best = max(between(threshold) for threshold in np.unique(array))
    assert between(found) >= best * (1 - 1e-2)
