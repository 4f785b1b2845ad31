"""Where in a head an ear's tumour can lie, by its outline; and what is made of one elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.head import ANYWHERE, reach_of
from meatus.postprocess import Rules, clean, clean_and_tell
from meatus.report.measure import measure_found
from meatus.structures import Structure
from meatus.volumes import Labels, Scan, Segmented

EXTRA, INTRA, COCHLEA = Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL, Structure.COCHLEA
# The head is 150 mm wide and 190 long, and its top lies 15 mm below the uppermost plane.
SIZE, STEP = (120, 150, 100), 1.5
MIDDLE = (10.0, -20.0)  # of the head, in the patient
GRID = Geometry(SIZE, (STEP,) * 3, (MIDDLE[0] - 59.5 * STEP, MIDDLE[1] - 74.5 * STEP, -60.0))
TOP = -60 + 99 * STEP - 15


def head(grid=GRID, centre=(*MIDDLE, TOP - 90), radii=(75, 95, 90)):
    """An ellipsoid of tissue in air."""
    z, y, x = (
        grid.origin_mm[axis] + np.arange(grid.size[axis]) * grid.spacing_mm[axis]
        for axis in (2, 1, 0)
    )
    inside = (
        ((x - centre[0]) / radii[0]) ** 2
        + ((y[:, None] - centre[1]) / radii[1]) ** 2
        + ((z[:, None, None] - centre[2]) / radii[2]) ** 2
    ) < 1
    noise = np.random.default_rng(0).normal(0, 5, inside.shape)
    return Scan((np.where(inside, 400, 10) + noise).astype(np.float32), grid)


def test_a_whole_head_tells_its_middle_front_and_top():
    reach = reach_of(head())

    assert reach.middle_x == pytest.approx(MIDDLE[0], abs=3)
    assert reach.x == pytest.approx((MIDDLE[0] - 52, MIDDLE[0] + 52), abs=3)
    assert reach.y == pytest.approx((MIDDLE[1] - 45, MIDDLE[1] + 70), abs=3)
    assert reach.z[1] == pytest.approx(TOP - 60, abs=8)


def test_a_field_within_the_head_tells_nothing():
    narrow = Geometry((60, 40, 20), (STEP,) * 3, (MIDDLE[0] - 45, MIDDLE[1] - 30, TOP - 100))

    assert reach_of(head(narrow)) == ANYWHERE


def test_a_head_that_is_cut_in_front_tells_its_sides_alone():
    cut = Geometry((120, 80, 20), (STEP,) * 3, (GRID.origin_mm[0], MIDDLE[1] - 60, TOP - 100))

    reach = reach_of(head(cut))

    assert reach.middle_x == pytest.approx(MIDDLE[0], abs=3)
    assert (reach.y, reach.z) == (ANYWHERE.y, ANYWHERE.z)


def test_what_is_too_large_or_small_for_a_head_tells_nothing():
    assert reach_of(head(radii=(30, 35, 40))).x == ANYWHERE.x
    assert reach_of(head(radii=(30, 35, 40))).y == ANYWHERE.y


def labelled(*blocks):
    """Boxes of (label, middle in the patient, size in mm)."""
    voxels = np.zeros(GRID.shape, np.uint8)
    for label, middle, size in blocks:
        first = [
            round((m - o - size / 2) / STEP) for m, o in zip(middle, GRID.origin_mm, strict=True)
        ]
        x, y, z = (slice(at, at + round(size / STEP)) for at in first)
        voxels[z, y, x] = label
    return Labels(voxels, GRID)


EAR_HEIGHT = TOP - 110
RIGHT = (COCHLEA, (MIDDLE[0] - 36, MIDDLE[1], EAR_HEIGHT), 4.5)
BY_RIGHT = (INTRA, (MIDDLE[0] - 25, MIDDLE[1] + 6, EAR_HEIGHT), 6)
BY_LEFT = (INTRA, (MIDDLE[0] + 25, MIDDLE[1] + 8, EAR_HEIGHT + 6), 6)
FRONTAL = (EXTRA, (MIDDLE[0] + 20, MIDDLE[1] - 75, EAR_HEIGHT), 9)
ORBIT = (EXTRA, (MIDDLE[0] - 36, MIDDLE[1] - 60, EAR_HEIGHT), 9)
VERTEX = (EXTRA, (MIDDLE[0], MIDDLE[1], TOP - 20), 9)


@pytest.mark.parametrize("tumour", [FRONTAL, VERTEX, ORBIT])
@pytest.mark.parametrize("ears", [(), (RIGHT,)])
def test_a_tumour_where_no_ear_can_be_is_left_out(tumour, ears):
    found, reach = labelled(*ears, tumour), reach_of(head())

    told = clean_and_tell(found, Rules(), reach)
    cleaned, left_out_mm3 = told.labels, told.misplaced_mm3
    other = clean_and_tell(found, Rules(keep_doubtful=True), reach)
    kept, kept_mm3 = other.labels, other.misplaced_mm3

    np.testing.assert_array_equal(cleaned.voxels, labelled(*ears).voxels)
    np.testing.assert_array_equal(kept.voxels, found.voxels)
    assert (left_out_mm3, kept_mm3) == (9**3, 9**3)


@pytest.mark.parametrize(("below_mm", "stays"), [(56, False), (66, True)])
def test_a_tumour_that_merely_reaches_to_where_one_can_be_is_left_out(below_mm, stays):
    limit = reach_of(head()).z[1]  # some 60 mm below the vertex
    ear = (COCHLEA, (MIDDLE[0] + 36, MIDDLE[1], limit), 4.5)
    found = labelled(ear, (EXTRA, (MIDDLE[0] + 25, MIDDLE[1] + 8, limit + 60 - below_mm), 12))

    cleaned = clean(found, Rules(), reach_of(head()))

    assert (cleaned.voxels == EXTRA).any() == stays


@pytest.mark.parametrize("tumour", [BY_RIGHT, BY_LEFT])
@pytest.mark.parametrize(
    ("ears", "top"), [((), ANYWHERE.z), ((RIGHT,), ANYWHERE.z), ((RIGHT,), reach_of(head()).z)]
)
def test_a_tumour_by_either_ear_stays_though_an_ear_is_missed(tumour, ears, top):
    found, reach = labelled(*ears, tumour), replace(reach_of(head()), z=top)

    told = clean_and_tell(found, Rules(), reach)
    cleaned, left_out_mm3 = told.labels, told.misplaced_mm3

    np.testing.assert_array_equal(cleaned.voxels, found.voxels)
    assert left_out_mm3 == 0


def test_a_whole_head_without_an_ear_has_no_tumour_by_one():
    found, reach = labelled(BY_LEFT), reach_of(head())

    told = clean_and_tell(found, Rules(), reach)
    cleaned, left_out_mm3 = told.labels, told.misplaced_mm3

    assert not cleaned.voxels.any()
    assert left_out_mm3 == 6**3
    assert clean(found, Rules(keep_doubtful=True), reach).voxels.any()


@pytest.mark.parametrize(("axis", "middle"), [(0, BY_LEFT[1][0]), (1, BY_LEFT[1][1])])
def test_a_thin_slab_that_reaches_the_vertex_may_have_a_tumour_without_its_ear(axis, middle):
    """Sagittal or coronal: the cochlea may lie beside the 26 mm that are shown."""
    size, origin = list(SIZE), list(GRID.origin_mm)
    size[axis], origin[axis] = 17, middle - 8 * STEP
    found, reach = labelled(BY_LEFT), reach_of(head(Geometry(tuple(size), (STEP,) * 3, origin)))

    assert reach.z[1] == pytest.approx(TOP - 60, abs=8)
    np.testing.assert_array_equal(clean(found, Rules(), reach).voxels, found.voxels)


def test_a_speck_taken_for_a_cochlea_costs_no_tumour():
    speck = (COCHLEA, (MIDDLE[0] - 40, MIDDLE[1] - 70, EAR_HEIGHT), 3)  # 27 mm3, in the orbit
    found, reach = labelled(speck, BY_LEFT), replace(reach_of(head()), z=ANYWHERE.z)

    cleaned = clean(found, Rules(), reach)

    assert (cleaned.voxels == INTRA).sum() == (found.voxels == INTRA).sum() > 0
    whole = (COCHLEA, (MIDDLE[0] - 40, MIDDLE[1] - 70, EAR_HEIGHT), 6)
    assert not (clean(labelled(whole, BY_LEFT), Rules(), reach).voxels == INTRA).any()


def test_the_one_by_an_ear_is_kept_where_a_larger_one_lies_in_the_brain():
    found, reach = labelled(RIGHT, BY_LEFT, FRONTAL), reach_of(head())

    np.testing.assert_array_equal(
        clean(found, Rules(), reach).voxels, labelled(RIGHT, BY_LEFT).voxels
    )


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_left_out_or_kept_is_flagged(kept):
    """Also where another tumour that stays is the larger one."""
    large = (INTRA, BY_RIGHT[1], 12)
    found, reach = labelled(RIGHT, large, FRONTAL), reach_of(head())
    rules = Rules(keep_doubtful=kept, tumours="all")
    told = clean_and_tell(found, rules, reach)
    segmented = Segmented(
        told.labels, misplaced_mm3=told.misplaced_mm3, keeps_misplaced=rules.keep_doubtful
    )

    flags = measure_found(segmented).flags

    words = "tumour where no ear can be" if kept else "left out as no ear can be there"
    assert flags[0] == f"{words}: 729 mm3"
