import math
from dataclasses import replace

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.report import flags
from meatus.report.measure import Volumes, measure
from meatus.structures import Structure
from meatus.volumes import Certainty, Labels

# Voxels of 1 x 1 x 2 mm; x runs from -60 mm (right) to 59 mm (left).
HEAD = Geometry((120, 40, 12), (1.0, 1.0, 2.0), (-60, -20, 0))
EXTRA, INTRA, COCHLEA = Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL, Structure.COCHLEA

RIGHT_EAR, LEFT_EAR = np.s_[5:7, 10:14, 22:26], np.s_[5:7, 10:14, 94:98]  # 72 mm apart
LEFT_CANAL, LEFT_TUMOUR = np.s_[5:6, 15:18, 84:92], np.s_[5:6, 15:21, 74:84]


def labelled(*parts, grid=HEAD):
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for structure, box in parts:
        voxels[box] = structure
    return Labels(voxels, grid)


def usual_case():
    return labelled(
        (COCHLEA, RIGHT_EAR), (COCHLEA, LEFT_EAR), (INTRA, LEFT_CANAL), (EXTRA, LEFT_TUMOUR)
    )


def flipped(labels):
    """The same places in the patient, stored with x and z backwards."""
    grid = labels.geometry
    x, _, z = grid.size
    geometry = replace(
        grid,
        origin_mm=grid.position_mm((x - 1, 0, z - 1)),
        direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    )
    return Labels(labels.voxels[::-1, :, ::-1], geometry)


def sagittal(labels):
    """The same places in the patient; the file's axes are posterior, superior, left."""
    grid = labels.geometry
    (x, y, z), (dx, dy, dz) = grid.size, grid.spacing_mm
    direction = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    geometry = Geometry((y, z, x), (dy, dz, dx), grid.origin_mm, direction)
    return Labels(labels.voxels.transpose(2, 0, 1), geometry)


def test_volumes_are_voxels_times_their_size_for_both_sides_and_each():
    """The tumour has 60 and 24 voxels, a cochlea 32, each of 2 mm3."""
    found = measure(usual_case())

    assert found.total == Volumes(120, 48, 168, 128)
    assert found.right == Volumes(0, 0, 0, 64)
    assert found.left == Volumes(120, 48, 168, 64)


def test_the_diameter_of_a_rectangle_is_its_diagonal():
    """10 x 6 mm from edge to edge; its neighbour slices are smaller."""
    found = measure(usual_case())

    assert found.extra_meatal_diameter_mm == pytest.approx(math.hypot(10, 6))


def test_one_voxel_is_as_wide_as_its_diagonal_in_the_slice():
    grid = Geometry((9, 9, 9), (0.3, 0.4, 5.0), (0, 0, 0))

    found = measure(labelled((EXTRA, np.s_[4, 4, 4]), grid=grid))

    assert found.extra_meatal_diameter_mm == pytest.approx(0.5)


def test_the_diameter_is_that_of_the_widest_slice_and_not_across_slices():
    parts = ((EXTRA, np.s_[3, 10, 60:63]), (EXTRA, np.s_[4, 10, 63:70]))

    assert measure(labelled(*parts)).extra_meatal_diameter_mm == pytest.approx(math.hypot(7, 1))


def test_two_tumours_have_no_diameter_in_common():
    parts = ((EXTRA, np.s_[5, 10, 20:24]), (EXTRA, np.s_[5, 10, 90:93]))

    assert measure(labelled(*parts)).extra_meatal_diameter_mm == pytest.approx(math.hypot(4, 1))


def test_only_the_extra_meatal_part_counts_for_the_diameter():
    assert measure(labelled((INTRA, LEFT_CANAL))).extra_meatal_diameter_mm == 0


@pytest.mark.parametrize("turn", [flipped, sagittal])
def test_how_the_file_is_stored_changes_no_number(turn):
    labels = usual_case()

    assert measure(turn(labels)) == measure(labels)


def test_a_tilted_grid_measures_the_same_in_its_own_slices():
    c, s = math.cos(0.3), math.sin(0.3)
    tilted = replace(HEAD, direction=(1.0, 0.0, 0.0, 0.0, c, -s, 0.0, s, c))
    labels = Labels(usual_case().voxels, tilted)

    found = measure(labels)

    assert found.extra_meatal_diameter_mm == pytest.approx(math.hypot(10, 6))
    assert found.tumour_side == "left"


def test_the_side_is_relative_to_the_middle_between_the_cochleas():
    """The head lies 50 mm off centre: the whole scan is on the left of the world's zero."""
    labels = usual_case()
    moved = replace(labels.geometry, origin_mm=(-10, -20, 0))

    assert measure(Labels(labels.voxels, moved)).tumour_side == "left"
    assert measure(Labels(labels.voxels[..., ::-1], moved)).tumour_side == "right"


def test_beside_one_cochlea_a_tumour_is_of_its_ear():
    """The cochlea is at 58 mm of 120, where neither it nor the tumour tells of the centre."""
    tumour_medial_to_the_right = ((COCHLEA, np.s_[5:7, 10:14, 70:74]), (INTRA, np.s_[5, 12, 60:64]))
    tumour_medial_to_the_left = ((COCHLEA, np.s_[5:7, 10:14, 40:44]), (INTRA, np.s_[5, 12, 50:54]))

    left, right = (
        measure(labelled(*parts))
        for parts in (tumour_medial_to_the_right, tumour_medial_to_the_left)
    )

    assert (left.tumour_side, left.cochleas, left.left.cochlea_mm3) == ("left", 1, 64)
    assert (right.tumour_side, right.cochleas, right.right.cochlea_mm3) == ("right", 1, 64)


def test_far_from_the_one_cochlea_a_tumour_is_of_the_other_ear():
    found = measure(labelled((COCHLEA, np.s_[5:7, 10:14, 100:104]), (INTRA, np.s_[5, 12, 40:44])))

    assert found.tumour_side == "right"
    assert found.left.cochlea_mm3 == 64


def test_without_a_cochlea_the_side_is_that_of_the_grid():
    assert measure(labelled((INTRA, np.s_[5, 12, 70:74]))).tumour_side == "left"
    assert measure(labelled((INTRA, np.s_[5, 12, 50:54]))).tumour_side == "right"


def test_tumours_on_both_sides_are_told():
    right = ((INTRA, np.s_[5:6, 15:18, 28:36]), (EXTRA, np.s_[5, 15, 36:38]))
    labels = usual_case()
    for structure, box in right:
        labels.voxels[box] = structure

    found = measure(labels)

    assert found.tumour_side == "both"
    assert "tumours on both sides" in found.flags
    assert (found.right.intra_meatal_mm3, found.left.intra_meatal_mm3) == (48, 48)


def test_a_tumour_past_the_midline_is_still_of_one_side():
    """Its 40 mm from the canal leave 10 mm on the other side of the midline at x = 59.5."""
    labels = usual_case()
    labels.voxels[5, 15:21, 50:84] = EXTRA

    found = measure(labels)

    assert found.tumour_side == "left"
    assert found.right.whole_vs_mm3 == 0


def test_an_empty_map_measures_zero():
    found = measure(labelled())

    assert found.total == found.left == found.right == Volumes(0, 0, 0, 0)
    assert found.tumour_side == "none"
    assert found.extra_meatal_diameter_mm == 0
    assert (found.cochleas, found.cochleas_apart_mm, found.tumour_to_cochlea_mm) == (0, None, None)
    assert found.flags == ("no tumour found", "no cochlea found")


def test_nothing_is_flagged_in_a_usual_case():
    found = measure(usual_case(), Certainty(0.9, 0.9, 200.0))

    assert found.flags == ()
    assert found.cochleas_apart_mm == pytest.approx(72)
    # From the canal's voxel (91, 15) to the cochlea's (94, 13).
    assert found.tumour_to_cochlea_mm == pytest.approx(math.hypot(3, 2))


def test_flags_of_one_map_come_in_a_fixed_order():
    grid = Geometry((40, 40, 8), (1.2, 1.2, 5.0), (0, 0, 0))

    found = measure(labelled((EXTRA, np.s_[0, 5:9, 5:9]), grid=grid), Certainty(0.5))

    assert [flag.split(":")[0] for flag in found.flags] == [
        "tumour without a part in the meatus",
        "no cochlea found",
        "structure at the border of the scan",
        "unusual spacing",
        "few slices",
        "low confidence",
    ]


def test_cochleas_that_do_not_lie_side_by_side_are_flagged():
    """50 mm across and 50 behind one another: 45 degrees, and as far apart as ears are."""
    one, other = np.s_[3:5, 20:22, 20:22], np.s_[3:5, 70:72, 70:72]

    grid = Geometry((80, 80, 8), (1.0, 1.0, 1.0), (0, 0, 0))

    found = measure(labelled((COCHLEA, one), (COCHLEA, other), grid=grid))

    assert found.cochleas_apart_mm == pytest.approx(70.7, abs=0.1)
    assert any(flag.startswith("cochleas not side by side: ") for flag in found.flags)
    assert "turned by 45 degrees" in " ".join(found.flags)
    assert measure(usual_case()).cochleas_turned_deg == pytest.approx(0)


def test_a_scan_without_a_tumour_is_flagged_and_doubt_is_told():
    empty = labelled()

    def flagged(elsewhere_mm3):
        found = measure(empty, Certainty(elsewhere_mm3=elsewhere_mm3))
        return [flag for flag in found.flags if "tumour" in flag]

    assert flagged(None) == ["no tumour found"]
    assert flagged(9.9) == ["no tumour found"]
    assert flagged(40.2) == ["no tumour found, yet 40 mm3 may be some"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (flags.missing_cochlea(1), "one cochlea found"),
        (flags.missing_cochlea(2), None),
        (flags.no_part_in_meatus(0, 0), None),
        (flags.cochleas_apart(None), None),
        (flags.cochleas_apart(60), None),
        (flags.cochleas_apart(90), None),
        (flags.cochleas_apart(59), "cochleas too near: 59 mm apart, usual are 60 to 90"),
        (flags.cochleas_apart(91), "cochleas too far: 91 mm apart, usual are 60 to 90"),
        (flags.cochleas_turned(None), None),
        (flags.cochleas_turned(30), None),
        (
            flags.cochleas_turned(41.2),
            "cochleas not side by side: their line is turned by 41 degrees, usual are up to 30",
        ),
        (flags.tumour_far_from_ear(28), None),
        (
            flags.tumour_far_from_ear(40),
            "tumour far from the ear: 40 mm from the cochlea of its side",
        ),
        (
            flags.at_border(("extra_meatal", "cochlea")),
            "structure at the border of the scan: extra-meatal, cochlea",
        ),
        (flags.unusual_spacing((0.3, 1.0, 3.5)), None),
        (
            flags.unusual_spacing((0.5, 1.1, 1.0)),
            "unusual spacing: 0.50 x 1.10 mm in the slice and 1.00 mm between slices, "
            "usual are 0.3 to 1.0 mm and 0.5 to 3.5 mm",
        ),
        (flags.few_slices(11), None),
        (flags.few_slices(10), "few slices: 10, usual are 11 or more"),
        (flags.low_confidence(0.7), None),
        (flags.low_confidence(0.62), "low confidence: 0.62, usual is 0.7 or more"),
        (flags.uncertain_outline(None), None),
        (flags.uncertain_outline(0.85), None),
        (
            flags.uncertain_outline(0.849),
            "uncertain outline: expected Dice 0.84, usual is 0.85 or more",
        ),
        (
            flags.uncertain_outline(0.4),
            "uncertain outline: expected Dice 0.40, usual is 0.85 or more",
        ),
    ],
)
def test_each_rule_has_its_limit_and_its_sentence(sentence, expected):
    assert sentence == expected
