"""The coarse look, with a network that sees structures by their grey value."""

from dataclasses import replace

import numpy as np
import pytest

from meatus.ensemble import Model, predict
from meatus.geometry import Geometry
from meatus.regions import BOTH_EARS, Scout, about_ears, usual_window, whole_field
from meatus.spec import PhysicalCrop, ReferenceCrop, VolumeNormalisation
from meatus.structures import Structure
from meatus.volumes import Prepared
from tests.meatus.specs import make_spec

FINE = PhysicalCrop(size=(288, 256), spacing_mm=0.5)
COARSE = PhysicalCrop(size=(144, 128), spacing_mm=1.0, thin_slice_mm=1.5, slice_mm=2.0)
EVEN = VolumeNormalisation(power=1)
MEMBER = make_spec(FINE, EVEN, depth=24, overlap=8, look="ears")
COCHLEA, TUMOUR, HEAD = 1.0, 0.5, -0.5
RIGHT, LEFT = (20, 100, 72), (22, 104, 216)  # z, y, x: 72 mm apart


class GreyEngine:
    """Cochlea what is brightest, tumour what is less bright."""

    name = "grey"

    def __init__(self):
        self.shapes = []

    def __call__(self, window):
        self.shapes.append(window.shape)
        result = np.zeros((4, *window.shape), np.float32)
        result[Structure.COCHLEA] = window > 0.75
        result[Structure.EXTRA_MEATAL] = (window > 0.2) & (window <= 0.75)
        result[0] = 1 - result.sum(0)
        return result

    def release(self):
        pass


def head(*places, slices=44, slice_mm=1.0):
    """A prepared head with blobs (value, (z, y, x) of the middle, half size in z, y, x)."""
    voxels = np.full((slices, 256, 288), HEAD, np.float32)
    for value, middle, reach in places:
        box = tuple(slice(m - r, m + r) for m, r in zip(middle, reach, strict=True))
        voxels[box] = value
    grid = Geometry((288, 256, slices), (0.5, 0.5, slice_mm), (0.0, 0.0, 0.0))
    return Prepared(voxels, grid, grid)


def cochlea(middle):
    return COCHLEA, middle, (2, 6, 6)


EARS = (cochlea(RIGHT), cochlea(LEFT))


def scout():
    return Scout(GreyEngine(), make_spec(COARSE, EVEN, depth=12, overlap=4, look="scout"))


def regions(prepared):
    return about_ears(prepared, MEMBER, scout())


def inside(region, middle):
    return all(side.start <= at < side.stop for side, at in zip(region.box, middle, strict=True))


@pytest.mark.parametrize("quality", ["fast", "standard"])
def test_the_usual_windows_are_what_networks_are_shown_first(quality):
    engine, looks = GreyEngine(), scout() if quality == "fast" else None
    predict(head(*EARS), Model((engine,), MEMBER, quality, scout=looks))

    assert engine.shapes[0] == usual_window(MEMBER, about_ears=looks is not None)
    assert looks is None or looks.engine.shapes[0] == usual_window(looks.spec)


def test_each_ear_gets_a_region_of_half_the_field_s_sides():
    looked = regions(head(*EARS))

    right, left = sorted(looked.boxes, key=lambda region: region.columns.start)
    assert looked.told == BOTH_EARS
    assert inside(right, RIGHT)
    assert inside(left, LEFT)
    assert right.shape == left.shape == (24, 128, 144)
    medial = (right.columns.stop, left.columns.start)
    assert medial[0] - RIGHT[2] > 70, "35 mm towards the brainstem, where tumours grow"
    assert LEFT[2] - medial[1] > 70


def test_what_lies_above_an_ear_is_seen_without_what_is_between():
    above = (46, 110, 76)
    looked = regions(head(*EARS, (TUMOUR, above, (3, 8, 8)), slices=80))

    assert looked.told == BOTH_EARS
    assert [region.shape for region in looked.boxes] == [(24, 128, 144)] * 3
    assert sum(inside(region, above) for region in looked.boxes) == 1
    assert all(any(inside(region, ear) for region in looked.boxes) for ear in (RIGHT, LEFT))


def test_a_tumour_widens_its_ear_s_region_and_none_of_it_is_lost():
    middle, reach = (26, 150, 120), (12, 50, 30)
    looked = regions(head(*EARS, (TUMOUR, middle, reach)))

    right = min(looked.boxes, key=lambda region: region.columns.start)
    for side, at, half in zip(right.box, middle, reach, strict=True):
        assert side.start <= at - half
        assert at + half <= side.stop


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ([], "no ear"),
        ([cochlea(RIGHT)], "one ear"),
        ([cochlea(RIGHT), cochlea((20, 100, 160))], "no pair"),
        ([(TUMOUR, (22, 128, 144), (20, 110, 130)), *EARS], "most of it"),
        ([*EARS, (TUMOUR, (22, 30, 144), (4, 16, 16))], "far from either ear"),
    ],
)
def test_where_the_coarse_look_is_not_sure_the_whole_field_is_seen(places, why):
    looked = regions(head(*places))

    (only,) = looked.boxes
    assert only.shape == (44, 256, 288)
    assert looked.told.startswith("the whole field: ")
    assert why in looked.told


def test_flips_see_the_slices_that_may_show_a_structure_and_no_others():
    prepared, member = (
        head(cochlea((12, 100, 72)), (TUMOUR, (16, 104, 216), (3, 9, 9)), slices=80),
        GreyEngine(),
    )

    found = predict(prepared, Model((member,), MEMBER, "full"))

    assert member.shapes == [(24, 256, 288)] * (5 + 7), "80 slices in five windows, then 24 in one"
    once = predict(prepared, Model((GreyEngine(),), MEMBER, "fast"))
    np.testing.assert_allclose(found.voxels, once.voxels, atol=1e-6)


def test_flips_see_the_ears_alone_where_both_are_found():
    prepared, member = head(*EARS, (TUMOUR, (24, 140, 110), (4, 9, 9)), slices=80), GreyEngine()

    found = predict(prepared, Model((member,), MEMBER, "full"))

    assert member.shapes == [(24, 256, 288)] * 5 + [(24, 128, 144)] * (2 * 7)
    once = predict(prepared, Model((GreyEngine(),), MEMBER, "fast"))
    np.testing.assert_allclose(found.voxels, once.voxels, atol=1e-6)


def test_what_is_small_and_far_from_both_ears_is_looked_at_again():
    far = (60, 40, 144)
    prepared, member = head(*EARS, (TUMOUR, far, (2, 4, 4)), slices=80), GreyEngine()

    predict(prepared, Model((member,), MEMBER, "full"))

    assert member.shapes == [(24, 256, 288)] * 5 + [(24, 128, 144)] * (3 * 7)


def test_a_single_flip_more_and_a_runtime_of_one_shape_see_whole_slices():
    prepared = head(*EARS, slices=80)
    for quality, one_shape, looks in (("standard", False, 1), ("full", True, 7)):
        member = GreyEngine()

        predict(prepared, Model((member,), MEMBER, quality, one_shape=one_shape))

        assert member.shapes == [(24, 256, 288)] * (5 + looks)


def test_with_a_coarse_look_that_is_unsure_flips_are_spared_as_without_one():
    one_ear = head(cochlea(RIGHT))
    alone, with_scout = GreyEngine(), GreyEngine()

    found = predict(one_ear, Model((alone,), MEMBER, "full"))
    looked = predict(one_ear, Model((with_scout,), MEMBER, "full", scout=scout()))

    np.testing.assert_array_equal(looked.voxels, found.voxels)
    assert with_scout.shapes == alone.shapes
    assert looked.looked == "the whole field: one ear was found"


def test_flips_see_nothing_where_the_first_look_saw_nothing():
    member = GreyEngine()

    found = predict(head(slices=80), Model((member,), MEMBER, "full"))

    assert len(member.shapes) == 5
    assert (found.voxels[Structure.BACKGROUND] == 1).all()


def test_where_spots_are_everywhere_flips_see_everything():
    blobs = [
        (TUMOUR, (z, y, x), (1, 5, 5))
        for z in range(4, 80, 8)
        for y in range(40, 256, 70)
        for x in range(40, 288, 50)
    ]
    member = GreyEngine()

    predict(head(*blobs, slices=80), Model((member,), MEMBER, "standard"))

    assert len(member.shapes) == 2 * 5


class DoubtfulEngine(GreyEngine):
    """Sees a little of a tumour in what is less bright, and is sure of it in a flipped window."""

    def __init__(self, at_first):
        super().__init__()
        self.at_first = at_first

    def __call__(self, window):
        tumour = super().__call__(window)[Structure.EXTRA_MEATAL]
        p = 0.9 if len(self.shapes) > 5 else self.at_first  # five windows have 80 slices
        result = np.zeros((4, *window.shape), np.float32)
        result[Structure.EXTRA_MEATAL] = tumour * p
        result[0] = 1 - result.sum(0)
        return result


@pytest.mark.parametrize(("at_first", "together"), [(0.03, (0.03 + 7 * 0.9) / 8), (0.01, 0.01)])
def test_what_the_first_look_hardly_sees_is_looked_at_again(at_first, together):
    prepared = head((TUMOUR, (10, 100, 72), (4, 10, 10)), slices=80)

    found = predict(prepared, Model((DoubtfulEngine(at_first),), MEMBER, "full"))

    assert found.voxels[Structure.EXTRA_MEATAL, 10, 100, 72] == pytest.approx(together)


def test_specks_and_what_cleaning_removes_widen_nothing():
    plain = regions(head(*EARS))
    speck, second = (TUMOUR, (40, 240, 20), (1, 1, 1)), (COCHLEA, (22, 30, 144), (2, 4, 4))

    assert regions(head(*EARS, speck)) == plain
    assert regions(head(*EARS, second)) == plain


def test_thick_slices_stay_as_they_are():
    looker, prepared = scout(), head(*EARS, slices=24, slice_mm=3.0)

    about_ears(prepared, MEMBER, looker)

    assert looker.engine.shapes == [(12, 128, 144)] * 3, "24 slices in windows of 12"
    looker = scout()
    about_ears(head(*EARS, slices=24), MEMBER, looker)
    assert looker.engine.shapes == [(12, 128, 144)], "pairs of 24 slices"


def test_a_short_stack_is_seen_in_full_depth_and_a_narrow_field_whole():
    ears = cochlea((4, 100, 72)), cochlea((4, 104, 216))
    short, narrow = head(*ears, slices=8), head(*ears, slices=8)
    narrow.voxels[:, :70] = -1
    narrow.voxels[:, 166:] = -1

    assert [region.slices for region in regions(short).boxes] == [slice(0, 8)] * 2
    assert regions(narrow).told == "the whole field: the regions would be most of it"
    assert regions(narrow).boxes[0].shape == (8, 96, 288)


def test_the_ensemble_finds_the_same_with_a_coarse_look_as_without():
    prepared = head(*EARS, (TUMOUR, (24, 140, 110), (6, 16, 16)))
    member = GreyEngine()
    whole = predict(prepared, Model((GreyEngine(),), MEMBER, "standard"))
    looked = predict(prepared, Model((member,), MEMBER, "standard", scout=scout()))

    np.testing.assert_allclose(looked.voxels, whole.voxels, atol=1e-6)
    assert len(set(member.shapes)) == 1, "one shape, one preparation of the runtime"
    assert (looked.looked, whole.looked) == (BOTH_EARS, "the whole field")


def test_regions_have_sides_that_the_network_can_halve():
    odd = replace(MEMBER, crop=replace(FINE, size=(272, 240)))

    looked = about_ears(head(*EARS), odd, scout())

    assert {region.shape for region in looked.boxes} == {(24, 128, 144)}


def test_the_published_crop_is_seen_whole():
    prepared = head()
    prepared.voxels[:, :60] = -1

    (region,) = whole_field(prepared, replace(MEMBER, crop=ReferenceCrop())).boxes
    assert region.shape == (44, 256, 288)
