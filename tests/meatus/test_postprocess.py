from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from meatus.components import SURROUNDING, components
from meatus.geometry import Geometry
from meatus.postprocess import Rules, clean, clean_and_tell
from meatus.report.measure import measure_found
from meatus.volumes import Labels, Segmented

EXTRA, INTRA, COCHLEA = 1, 2, 3
HEAD = (6, 12, 100)  # (Z, Y, X): at 1 mm both ears fit along x


def draw(*blocks, shape=HEAD, spacing_mm=(1.0, 1.0, 1.0), **geometry):
    """Labels with ``blocks`` of (label, z range, y range, x range) painted in turn."""
    voxels = np.zeros(shape, dtype=np.uint8)
    for label, z, y, x in blocks:
        voxels[slice(*z), slice(*y), slice(*x)] = label
    return Labels(voxels, Geometry(shape[::-1], spacing_mm, (0, 0, 0), **geometry))


def same(left, right):
    np.testing.assert_array_equal(left.voxels, right.voxels)


def test_of_several_tumours_the_largest_remains():
    large = (EXTRA, (0, 3), (0, 3), (20, 25))  # 45 mm3
    small = (EXTRA, (0, 3), (0, 3), (10, 14))  # 36 mm3

    same(clean(draw(small, large)), draw(large))


def test_both_labels_count_towards_a_tumours_size():
    two_labels = [(EXTRA, (0, 3), (0, 3), (20, 22)), (INTRA, (0, 3), (0, 3), (22, 25))]  # 18 + 27
    one_label = (EXTRA, (0, 3), (0, 3), (10, 14))  # 36

    same(clean(draw(one_label, *two_labels)), draw(*two_labels))


@pytest.mark.parametrize(("wide", "stays"), [(2, True), (1, False)])
def test_a_tumour_in_the_meatus_goes_before_a_larger_one_that_is_nowhere_in_it(wide, stays):
    rooted = (INTRA, (0, 3), (0, 4), (20, 20 + wide))  # 24 or 12 mm3; labelled ones have 20
    larger = (EXTRA, (0, 3), (0, 3), (10, 16))  # 54 mm3

    same(clean(draw(larger, rooted)), draw(rooted if stays else larger))


@pytest.mark.parametrize(("wide", "stays"), [(20, True), (21, False)])
def test_a_tumour_in_the_meatus_counts_ten_times_its_volume(wide, stays):
    rooted, larger = (INTRA, (0, 3), (0, 4), (20, 22)), (EXTRA, (0, 3), (0, 4), (24, 24 + wide))

    same(clean(draw(larger, rooted)), draw(rooted if stays else larger))


@pytest.mark.parametrize(("label", "told"), [(EXTRA, 54.0), (INTRA, 0.0)])
def test_a_larger_piece_that_goes_for_a_rooted_one_is_told(label, told):
    rooted, larger = (INTRA, (0, 3), (0, 4), (20, 22)), (label, (0, 3), (0, 3), (10, 16))

    cleaned = clean_and_tell(draw(larger, rooted))

    same(cleaned.labels, draw(rooted if told else larger))
    assert cleaned.passed_over_mm3 == told
    flags = measure_found(Segmented(cleaned.labels, passed_over_mm3=told)).flags
    said = "left out though larger, with less in the meatus: 54 mm3"
    assert (said in flags) == bool(told)
    assert clean_and_tell(draw(larger, rooted), Rules(tumours="all")).passed_over_mm3 == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_equal_tumours_the_first_in_raster_order_remains(order):
    first, second = (INTRA, (0, 3), (6, 9), (50, 53)), (INTRA, (1, 4), (0, 3), (10, 13))
    labels = draw(first, second)

    same(clean(replace(labels, voxels=labels.voxels.copy(order))), draw(first))


def test_a_corner_is_contact_enough_for_one_tumour():
    touching = [(EXTRA, (0, 3), (0, 3), (10, 13)), (EXTRA, (3, 5), (3, 5), (13, 15))]

    same(clean(draw(*touching)), draw(*touching))


def test_all_tumours_remain_where_asked_but_none_below_the_smallest_volume():
    left, right = (EXTRA, (0, 3), (0, 3), (10, 14)), (INTRA, (0, 3), (0, 3), (80, 82))
    speck = (EXTRA, (0, 3), (0, 3), (40, 41))  # 9 mm3 of the 10 that are needed

    same(clean(draw(left, speck, right), Rules(tumours="all")), draw(left, right))


@pytest.mark.parametrize("label", [EXTRA, INTRA, COCHLEA])
@pytest.mark.parametrize(
    ("spacing_mm", "stays"), [((1, 1, 1), True), ((0.5, 0.5, 1.5), False), ((0.6, 0.6, 3.5), True)]
)
def test_the_smallest_volume_is_in_millimetres(label, spacing_mm, stays):
    """12 voxels have 12, 4.5 and 15.12 mm3."""
    block = draw((label, (0, 2), (0, 2), (20, 23)), spacing_mm=spacing_mm)

    assert clean(block).voxels.any() == stays


def test_islands_inside_the_other_part_of_a_tumour_join_it():
    extra, intra = (EXTRA, (0, 4), (0, 5), (10, 20)), (INTRA, (0, 4), (0, 5), (20, 26))
    island_in_extra = (INTRA, (1, 3), (1, 3), (12, 15))
    island_in_intra = (EXTRA, (0, 1), (0, 2), (24, 26))

    same(clean(draw(extra, intra, island_in_extra, island_in_intra)), draw(extra, intra))


def test_every_tumour_keeps_its_own_part_inside_the_canal():
    left = [(EXTRA, (0, 4), (0, 5), (10, 16)), (INTRA, (0, 4), (0, 5), (16, 18))]
    right = [(EXTRA, (0, 4), (0, 5), (80, 84)), (INTRA, (0, 4), (0, 5), (76, 80))]

    same(clean(draw(*left, *right), Rules(tumours="all")), draw(*left, *right))


@pytest.mark.parametrize(("across", "stays"), [(1, False), (2, True)])
def test_a_speck_outside_the_meatus_belongs_to_the_tumour_within(across, stays):
    """2 mm3 are no part of their own, 4 mm3 are."""
    inside, outside = (INTRA, (0, 4), (0, 5), (20, 26)), (EXTRA, (0, 2), (0, across), (19, 20))
    whole = draw(inside, outside)
    joined = draw(inside, (INTRA, *outside[1:]))

    same(clean(whole), whole if stays else joined)
    same(clean(whole, Rules(smallest_extra_mm3=0.0)), whole)


def test_a_small_tumour_outside_alone_stays_what_it_is():
    small = draw((EXTRA, (0, 3), (0, 2), (10, 12)))

    same(clean(small, Rules(smallest_extra_mm3=50.0)), small)


def test_a_cavity_enclosed_by_a_structure_is_filled():
    tumour, cyst = (EXTRA, (0, 5), (0, 5), (10, 16)), (0, (1, 4), (1, 4), (12, 14))
    cochlea, axis = (COCHLEA, (0, 3), (0, 3), (60, 64)), (0, (1, 2), (1, 2), (61, 63))

    same(clean(draw(tumour, cyst, cochlea, axis)), draw(tumour, cochlea))


def test_a_cyst_is_of_the_tumour_where_a_piece_of_its_capsule_is_not_seen():
    """The gap stays: from there the tumour lies in 13 directions, as from any dent."""
    tumour, cyst = (EXTRA, (0, 5), (0, 5), (10, 16)), (0, (1, 4), (1, 4), (12, 15))
    gap = (0, (2, 3), (2, 3), (15, 16))

    same(clean(draw(tumour, cyst, gap)), draw(tumour, gap))


def test_a_groove_along_a_tumour_is_not_filled():
    tumour, groove = (EXTRA, (0, 5), (0, 5), (10, 16)), (0, (1, 4), (0, 5), (13, 16))

    same(clean(draw(tumour, groove)), draw(tumour, groove))


def test_what_two_tumours_surround_together_stays_as_it_is():
    walls = [(EXTRA, (0, 5), (0, 6), (10, 14)), (EXTRA, (0, 5), (0, 6), (16, 20))]

    same(clean(draw(*walls), Rules(tumours="all")), draw(*walls))


def test_a_cochlea_with_an_open_cavity_keeps_it():
    cochlea, gap = (COCHLEA, (0, 3), (0, 3), (60, 64)), (0, (1, 2), (1, 2), (61, 64))

    same(clean(draw(cochlea, gap)), draw(cochlea, gap))


def test_a_cochlea_is_not_lost_in_the_tumour_around_it():
    both = [(EXTRA, (0, 5), (0, 7), (10, 19)), (COCHLEA, (1, 4), (2, 5), (12, 15))]

    same(clean(draw(*both)), draw(*both))


@pytest.mark.parametrize(("slice_mm", "nearest"), [(0.75, EXTRA), (3.0, INTRA)])
def test_a_cavity_takes_the_label_of_the_wall_nearest_in_millimetres(slice_mm, nearest):
    """Above and below the cavity lies one label, beside it the other."""
    tumour, layer = (EXTRA, (0, 3), (0, 5), (10, 16)), (INTRA, (1, 2), (1, 4), (11, 16))
    cavity = ((1, 2), (2, 3), (13, 14))
    spacing_mm = (1, 1, slice_mm)

    cleaned = clean(draw(tumour, layer, (0, *cavity), spacing_mm=spacing_mm))

    same(cleaned, draw(tumour, layer, (nearest, *cavity), spacing_mm=spacing_mm))


def test_one_cochlea_remains_on_each_side():
    right, left = (COCHLEA, (0, 3), (0, 3), (10, 14)), (COCHLEA, (0, 3), (0, 3), (80, 83))
    false = [(COCHLEA, (0, 3), (0, 3), (18, 20)), (COCHLEA, (0, 3), (9, 11), (80, 83))]

    same(clean(draw(right, left, *false)), draw(right, left))


@pytest.mark.parametrize(("spacing_mm", "stays"), [(0.75, False), (0.8, True)])
def test_the_ears_are_40_mm_apart_or_more(spacing_mm, stays):
    """50 voxels between the middles: 37.5 or 40 mm."""
    right, left = (COCHLEA, (0, 5), (0, 4), (10, 14)), (COCHLEA, (0, 4), (0, 4), (60, 64))
    spacing = (spacing_mm, 1, 1)

    kept = [right, left] if stays else [right]

    same(clean(draw(right, left, spacing_mm=spacing)), draw(*kept, spacing_mm=spacing))


def test_two_ears_beat_a_larger_false_cochlea_between_them():
    ears = [(COCHLEA, (0, 3), (0, 3), (10, 13)), (COCHLEA, (0, 3), (0, 3), (84, 87))]  # 27 each
    midline = (COCHLEA, (0, 4), (0, 3), (47, 50))  # 36, and 37 mm from either

    same(clean(draw(midline, *ears)), draw(*ears))


@pytest.mark.parametrize(("high", "level"), [(15, True), (16, False)])
def test_a_level_pair_of_cochleas_beats_a_heavier_one_that_no_ears_make(high, level):
    """Ears lie level to 15 mm; of three parts the least is still more than half of the largest."""
    ear, other = (COCHLEA, (0, 3), (0, 4), (5, 9)), (COCHLEA, (high, high + 3), (0, 4), (75, 78))
    below = (COCHLEA, (40, 43), (0, 4), (76, 80))

    kept = [ear, other] if level else [ear, below]

    shape = (44, 12, 100)
    same(clean(draw(ear, other, below, shape=shape)), draw(*kept, shape=shape))


def test_of_pairs_that_lie_as_ears_do_the_heaviest_remains():
    ear, other = (COCHLEA, (0, 5), (0, 4), (5, 9)), (COCHLEA, (0, 5), (0, 4), (75, 79))
    speck = (COCHLEA, (0, 3), (0, 4), (85, 88))

    same(clean(draw(ear, other, speck)), draw(ear, other))


def test_one_real_cochlea_beats_two_specks_that_lie_an_ear_apart():
    cochlea = (COCHLEA, (0, 5), (0, 4), (45, 49))  # 80
    specks = [(COCHLEA, (0, 3), (9, 11), (20, 22)), (COCHLEA, (0, 3), (9, 11), (72, 74))]  # 12 each

    same(clean(draw(cochlea, *specks)), draw(cochlea))


@pytest.mark.parametrize("direction", [(0, 0, -1, 1, 0, 0, 0, 1, 0), (0, 0, 1, -1, 0, 0, 0, 1, 0)])
def test_sides_follow_the_patient_not_the_array(direction):
    """Slices run left-right: 50 slices apart is the other ear, 70 columns apart is not."""
    shape = (60, 6, 100)
    ears = [(COCHLEA, (2, 6), (0, 3), (10, 13)), (COCHLEA, (52, 55), (0, 3), (10, 13))]
    nape = (COCHLEA, (2, 5), (0, 3), (80, 84))

    cleaned = clean(draw(*ears, nape, shape=shape, direction=direction))

    same(cleaned, draw(*ears, shape=shape, direction=direction))


@pytest.mark.parametrize(
    ("spacing_mm", "empty", "stays"),
    [
        ((0.5, 1, 1), 4, True),  # 2 mm
        ((0.5, 1, 1), 5, False),  # 2.5 mm
        ((0.4, 1, 1), 5, True),  # 2 mm
        ((1.5, 1, 1), 1, True),
        ((2.5, 1, 1), 1, False),
    ],
)
def test_pieces_at_most_2_mm_from_a_cochlea_belong_to_it(spacing_mm, empty, stays):
    cochlea = (COCHLEA, (0, 5), (0, 5), (10, 14))
    piece = (COCHLEA, (2, 3), (2, 3), (14 + empty, 15 + empty))

    kept = [cochlea, piece] if stays else [cochlea]

    same(clean(draw(cochlea, piece, spacing_mm=spacing_mm)), draw(*kept, spacing_mm=spacing_mm))


def test_pieces_need_not_lie_along_an_axis():
    """Two voxels of 0.9 mm lie between in y and x: 1.8 mm each way, 2.5 mm together."""
    cochlea, spacing = (COCHLEA, (0, 5), (0, 5), (10, 14)), (0.9, 0.9, 1.0)
    beside = (COCHLEA, (2, 3), (0, 1), (16, 17))
    diagonal = (COCHLEA, (2, 3), (7, 8), (16, 17))

    cleaned = clean(draw(cochlea, beside, diagonal, spacing_mm=spacing))

    same(cleaned, draw(cochlea, beside, spacing_mm=spacing))


EARS = ((COCHLEA, (0, 3), (0, 3), (10, 13)), (COCHLEA, (0, 3), (0, 3), (84, 87)))


@pytest.mark.parametrize("spacing_mm", [1.0, 0.9])
def test_a_small_tumour_by_an_ear_beats_a_large_one_that_no_ear_is_near(spacing_mm):
    """Between the far one's first voxel and the nearest cochlea are 21 steps: 21 or 18.9 mm."""
    near, far = (EXTRA, (0, 3), (0, 3), (70, 75)), (EXTRA, (0, 3), (0, 4), (33, 50))
    spacing = (spacing_mm,) * 3

    kept = near if spacing_mm == 1 else far

    same(clean(draw(*EARS, near, far, spacing_mm=spacing)), draw(*EARS, kept, spacing_mm=spacing))


def test_unless_both_ears_are_found_as_they_lie_a_tumour_may_be_the_other_ones():
    far = (EXTRA, (0, 3), (0, 4), (52, 58))

    too_near = (EARS[0], (COCHLEA, (0, 3), (0, 3), (66, 69)))  # 56 mm apart
    for ears in (EARS[:1], too_near):
        same(clean(draw(*ears, far)), draw(*ears, far))
    assert not (clean(draw(*EARS, (EXTRA, (0, 3), (0, 4), (40, 50)))).voxels == EXTRA).any()


def test_what_lies_behind_one_ear_is_no_second_one_and_takes_no_tumour_from_the_real_one():
    behind = (COCHLEA, (0, 3), (58, 61), (62, 65))  # 52 mm to the side and 58 behind: 78 mm apart
    tumour = (EXTRA, (0, 3), (0, 5), (70, 78))

    for ears in ((EARS[0], behind), EARS):
        drawn = draw(*ears, tumour, shape=(3, 80, 100))
        same(clean(drawn), drawn)


def test_ears_are_near_in_millimetres_however_far_between_the_planes_nothing_lies():
    shape, spacing = (60, 12, 100), (1.0, 1.0, 1.0)
    above = (INTRA, (40, 44), (0, 3), (10, 13))

    cleaned = clean(draw(*EARS, above, shape=shape, spacing_mm=spacing))

    same(cleaned, draw(*EARS, shape=shape, spacing_mm=spacing))


# By the left ear, largest; and 5 x 5 x 4 = 100 mm3 by the right, of which 25 in the meatus.
LEFT_TUMOUR = ((INTRA, (0, 5), (5, 10), (79, 81)), (EXTRA, (0, 5), (5, 10), (73, 79)))
RIGHT_TUMOUR = ((INTRA, (0, 5), (5, 10), (16, 17)), (EXTRA, (0, 5), (5, 10), (17, 20)))


def test_each_ear_may_have_its_tumour():
    both = draw(*EARS, *LEFT_TUMOUR, *RIGHT_TUMOUR)

    same(clean(both), both)
    same(clean(both, Rules(tumours="one")), draw(*EARS, *LEFT_TUMOUR))


@pytest.mark.parametrize(
    ("second", "cochleas"),
    [
        ([(EXTRA, (0, 5), (5, 10), (16, 20))], EARS),  # no part in the meatus
        ([RIGHT_TUMOUR[0], (EXTRA, (0, 5), (5, 9), (17, 20))], EARS),  # 85 mm3
        (RIGHT_TUMOUR, EARS[1:]),  # no cochlea by it
        ([(INTRA, (0, 5), (5, 10), (66, 70)), (EXTRA, (0, 5), (5, 6), (69, 71))], EARS),  # same ear
    ],
)
def test_a_second_tumour_must_be_large_reach_into_the_meatus_and_have_the_other_ear(
    second, cochleas
):
    cleaned = clean(draw(*cochleas, *LEFT_TUMOUR, *second))

    same(cleaned, draw(*cochleas, *LEFT_TUMOUR))


def test_an_empty_map_stays_empty():
    same(clean(draw()), draw())


def test_cleaning_makes_a_new_map_on_the_same_grid_with_the_same_header():
    labels = replace(draw((EXTRA, (0, 1), (0, 1), (20, 21))), header=b"nifti")

    cleaned = clean(labels)

    assert (cleaned.geometry, cleaned.header) == (labels.geometry, labels.header)
    assert labels.voxels[0, 0, 20] == EXTRA


@st.composite
def noisy_labels(draw_value):
    """Coarse noise refined to blocks, with fine noise on top: holes, islands and pieces."""
    random = np.random.default_rng(draw_value(st.integers(0, 2**32 - 1)))
    chances = draw_value(st.sampled_from([(7, 1, 1, 1), (3, 3, 1, 1), (3, 0, 4, 1), (4, 1, 0, 3)]))
    coarse = random.choice(4, size=(3, 4, 6), p=np.array(chances) / sum(chances))
    voxels = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(3, axis=2).astype(np.uint8)
    changed = random.random(voxels.shape) < draw_value(st.sampled_from([0.0, 0.05, 0.2]))
    voxels[changed] = random.choice(np.unique(voxels), size=int(changed.sum()))
    spacing_mm = draw_value(st.sampled_from([(1.0, 1.0, 1.0), (0.5, 0.5, 1.5), (0.7, 0.6, 3.0)]))
    return Labels(voxels, Geometry(voxels.shape[::-1], spacing_mm, (0, 0, 0)))


NOISE_RULES = st.builds(
    Rules,
    tumours=st.sampled_from(["one", "ears", "all"]),
    second_tumour_mm3=st.sampled_from([0.0, 8.0]),
    smallest_tumour_mm3=st.sampled_from([0.0, 4.0]),
    smallest_cochlea_mm3=st.sampled_from([0.0, 4.0]),
    smallest_extra_mm3=st.sampled_from([0.0, 5.0]),
    joining_mm=st.sampled_from([0.0, 1.0]),
    between_ears_mm=st.sampled_from([4.0, 9.0]),
    from_ear_mm=st.sampled_from([0.0, 2.0, 20.0]),
    ears_apart_mm=st.sampled_from([(0.0, 99.0), (4.0, 8.0)]),
)


@settings(max_examples=60, deadline=None)
@given(noisy_labels(), NOISE_RULES)
def test_cleaning_leaves_one_piece_of_each_part_and_nothing_to_clean(labels, rules):
    once = clean(labels, rules)

    same(clean(once, rules), once)
    if rules.tumours == "one":
        for label in (EXTRA, INTRA):
            assert len(components(once.voxels == label)[1]) <= 2  # the background and one piece


@settings(max_examples=60, deadline=None)
@given(noisy_labels(), NOISE_RULES)
def test_labels_are_only_added_in_holes_and_never_of_an_absent_kind(labels, rules):
    cleaned = clean(labels, rules).voxels

    before, tumour = labels.voxels, np.isin(cleaned, (EXTRA, INTRA))
    holes = ndimage.binary_fill_holes(before == COCHLEA)
    added = np.argwhere(cleaned.astype(bool) & ~before.astype(bool) & ~holes)
    assert all(directions_with(tumour, voxel) >= SURROUNDING for voxel in added)
    assert set(np.unique(cleaned)) <= {0, *np.unique(before)}


def directions_with(mask, voxel):
    """Of the 18 directions along axes and diagonals of planes those with ``mask``, step by step."""
    steps = [step for step in product((-1, 0, 1), repeat=3) if 1 <= np.abs(step).sum() <= 2]
    return sum(
        any(mask[tuple(at)] for at in ray(voxel, np.array(step), mask.shape)) for step in steps
    )


def ray(voxel, step, shape):
    while np.all(voxel >= 0) and np.all(voxel < shape):
        yield voxel
        voxel = voxel + step
