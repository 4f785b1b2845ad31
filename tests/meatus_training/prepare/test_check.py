import gzip
from dataclasses import replace

import pytest

from meatus.geometry import Geometry
from meatus_training.prepare.check import Checked, check_case, no_cochlea, same_files
from meatus_training.prepare.raw import WHOLE_TUMOUR, RawCase
from tests.meatus_training.prepare.folders import GRID, SMALL, SOURCE, TWO, head, labels, write

NAME = "crossmoda2023_ldn_1"


@pytest.fixture
def case(tmp_path):
    scan = write(tmp_path / f"{SOURCE}ldn_1_ceT1.nii.gz", head())
    label = write(tmp_path / f"{SOURCE}ldn_1_Label.nii.gz", labels())
    return RawCase(NAME, "source", "ldn", "ceT1", scan, label)


@pytest.fixture
def problems(case, tmp_path):
    """The lines about the case; each names a file as below the folder of the data."""

    def _problems(settings=SMALL, **changes):
        return check_case(replace(case, **changes), settings, tmp_path).problems

    return _problems


def test_a_good_case_has_no_problems_and_tells_its_numbers(case, tmp_path):
    checked = check_case(case, SMALL, tmp_path)

    assert checked.problems == checked.warnings == ()
    assert checked.numbers == (0, 1, 2, 3)
    assert len(checked.digest) == 64


def test_a_file_cut_short_is_told(case, problems):
    whole = case.scan.read_bytes()
    case.scan.write_bytes(whole[: len(whole) // 2])

    (line,) = problems()

    assert f"{NAME}_ceT1.nii.gz" in line


def test_both_files_are_looked_at_even_if_one_cannot_be_read(case, problems):
    case.scan.write_bytes(gzip.compress(b"nothing"))
    write(case.label, labels({9: (20, 20)}))

    scan, label = problems()

    assert "_ceT1.nii.gz" in scan
    assert label == f"{SOURCE}ldn_1_Label.nii.gz: holds 9 in 16 of 9,600 voxels; " + (
        "expected 0 background, 1 extra_meatal, 2 intra_meatal, 3 cochlea. "
        "Pass a label map of these classes."
    )


def test_a_blank_scan_is_told(case, problems):
    write(case.scan, head() * 0)

    assert problems() == (
        f"{SOURCE}ldn_1_ceT1.nii.gz: every voxel is the same; export the scan again.",
    )


def test_an_empty_label_map_is_told(case, problems):
    write(case.label, labels({}))

    assert problems() == (f"{SOURCE}ldn_1_Label.nii.gz: is empty; expected a cochlea at least.",)


def test_interpolated_labels_are_told(case, problems):
    write(case.label, (labels() / 2).astype("float32"))

    assert "holds 0.5, 1.5 in 32 of 9,600 voxels; " in problems()[0]
    assert problems()[0].endswith("Was it interpolated?")


def test_labels_on_another_grid_are_told_with_both_grids(case, problems):
    moved = replace(GRID, origin_mm=(-78.0, -76.0, 0.0))
    write(case.label, labels(), moved)

    (line,) = problems()

    assert "40 x 40 x 6 voxels of 4 x 4 x 4 mm from (-78.00, -76.00, 0.00)" in line
    assert "expected 40 x 40 x 6 voxels of 4 x 4 x 4 mm from (-78.00, -78.00, 0.00)" in line


def test_the_same_grid_in_another_axis_order_is_fine(case, problems):
    turned = Geometry(
        (40, 40, 6), (4.0, 4.0, 4.0), (78.0, -78.0, 0.0), (-1, 0, 0, 0, 1, 0, 0, 0, 1)
    )
    write(case.label, labels()[..., ::-1].copy(), turned)

    assert problems() == ()


def test_an_undivided_tumour_is_refused_unless_it_is_told_what_to_be(case, problems):
    write(case.label, labels(TWO))

    (line,) = problems(parts=WHOLE_TUMOUR)

    assert "pass --vs-as extra" in line
    assert problems(replace(SMALL, whole_tumour="extra"), parts=WHOLE_TUMOUR) == ()


def test_the_same_file_under_two_names_is_told(case, tmp_path):
    twin = replace(case, name="other", scan=tmp_path / "other.nii.gz")
    pair = [(case, Checked(digest="a")), (twin, Checked(digest="a"))]

    assert same_files(pair, tmp_path) == [
        f"other.nii.gz: is the same file as {SOURCE}ldn_1_ceT1.nii.gz; leave one of them."
    ]
    unread = [(case, Checked(digest="")), (twin, Checked(digest=""))]
    assert same_files(unread, tmp_path) == []


def test_label_maps_of_which_none_shows_a_cochlea_are_numbered_otherwise(case):
    without, within = (case, Checked(numbers=(0, 1, 2))), (case, Checked(numbers=(0, 3)))

    assert "none of 2 label maps holds 3 (cochlea)" in no_cochlea([without, without])[0]
    assert no_cochlea([without, within]) == []
    assert no_cochlea([]) == []
