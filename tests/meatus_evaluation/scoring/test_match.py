import math
import re

import numpy as np
import pytest

from meatus.errors import UsageError
from meatus.geometry import Geometry, axial, nearest_labels, reorient, same_grid
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_evaluation.scoring.match import (
    EvaluationError,
    Pair,
    check_grids,
    match_folders,
    site_of,
)

GRID = Geometry((20, 18, 5), (0.5, 0.4, 1.5), (-7.0, 3.0, 11.0))


def turned(degrees, grid=GRID):
    """The same first voxel and sizes, turned about z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return Geometry(grid.size, grid.spacing_mm, grid.origin_mm, (c, -s, 0, s, c, 0, 0, 0, 1))


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def names(matched):
    return {
        pair.case: (pair.prediction.name if pair.prediction else None, pair.reference.name)
        for pair in matched.pairs
    }


def test_cases_are_matched_whatever_marks_and_endings_their_files_have(tmp_path):
    found = touch(tmp_path / "found", "a.nii.gz", "b_Label.mha", "notes.txt", ".c.nii.gz")
    truth = touch(tmp_path / "truth", "a_Label.nii.gz", "b_hrT2_Label.nii", "c_Label.nii.gz")

    assert names(match_folders(found, truth)) == {
        "a": ("a.nii.gz", "a_Label.nii.gz"),
        "b": ("b_Label.mha", "b_hrT2_Label.nii"),
        "c": (None, "c_Label.nii.gz"),
    }


def test_scans_beside_the_label_maps_are_no_label_maps(tmp_path):
    both = touch(tmp_path, "a.nii.gz", "a_Label.nii.gz", "a_T2.nii.gz", "b_T2.nii.gz")

    assert names(match_folders(both, both)) == {"a": ("a.nii.gz", "a_Label.nii.gz")}


def test_predictions_that_kept_their_scans_names_are_matched(tmp_path):
    found = touch(tmp_path / "found", "a_T2.nii.gz", "b_0000.nii.gz")
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.nii.gz")

    assert [pair.case for pair in match_folders(found, truth).pairs] == ["a", "b"]


def test_sub_folders_are_matched_by_path_and_case_unless_they_are_left_alone(tmp_path):
    found = touch(tmp_path / "found", "a.nii.gz", "etz/a.nii.gz", "etz/c.nii.gz")
    truth = touch(tmp_path / "truth", "a_Label.nii.gz", "etz/a_Label.mha", "ldn/c_Label.nii.gz")

    assert names(match_folders(found, truth)) == {
        "a": ("a.nii.gz", "a_Label.nii.gz"),
        "etz/a": ("a.nii.gz", "a_Label.mha"),
        "ldn/c": (None, "c_Label.nii.gz"),
    }
    assert [pair.case for pair in match_folders(found, truth, recursive=False).pairs] == ["a"]


def test_results_in_a_folder_of_the_references_are_no_references(tmp_path):
    truth = touch(tmp_path / "truth", "a_Label.nii.gz", "ours/a.nii.gz", "ours/b_Label.nii.gz")

    matched = match_folders(truth / "ours", truth)

    assert names(matched) == {"a": ("a.nii.gz", "a_Label.nii.gz")}
    assert [file.name for file in matched.unmatched] == ["b_Label.nii.gz"]


def test_predictions_without_a_reference_are_told(tmp_path):
    found = touch(tmp_path / "found", "a.nii.gz", "x.nii.gz")
    truth = touch(tmp_path / "truth", "a_Label.nii.gz")

    assert [file.name for file in match_folders(found, truth).unmatched] == ["x.nii.gz"]


@pytest.mark.parametrize(
    ("found", "truth", "message"),
    [
        ((), ("a_Label.nii.gz",), "found holds no label map; expected files named"),
        (("a.nii.gz",), (), "truth holds no label map"),
        (("a.nii.gz",), ("b_Label.nii.gz",), "no case in common: found a, expected b"),
        (("a.nii", "a.nii.gz"), ("a_Label.nii.gz",), "a.nii and a.nii.gz .* both of the case a"),
    ],
)
def test_folders_that_cannot_be_matched_are_refused_in_one_line(tmp_path, found, truth, message):
    folders = touch(tmp_path / "found", *found), touch(tmp_path / "truth", *truth)

    with pytest.raises(EvaluationError, match=message) as refused:
        match_folders(*folders)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        match_folders(tmp_path / "nowhere", touch(tmp_path / "truth", "a_Label.nii.gz"))


def test_the_site_is_in_the_challenges_names_alone():
    assert site_of("crossmoda2023_ukm_12") == "ukm"
    assert site_of("crossmoda2021_ldn_243") == "ldn"
    assert site_of("test/crossmoda2023_etz_3") == "etz"
    assert site_of("patient_7") == "other"


def test_a_grid_is_another_one_when_size_spacing_origin_or_axes_differ():
    x, y, z = GRID.origin_mm
    assert same_grid(GRID, Geometry(GRID.size, GRID.spacing_mm, (x + 0.005, y, z)))
    assert not same_grid(GRID, Geometry(GRID.size, GRID.spacing_mm, (x + 0.05, y, z)))
    assert not same_grid(GRID, Geometry((20, 18, 6), GRID.spacing_mm, GRID.origin_mm))
    assert not same_grid(GRID, Geometry(GRID.size, (0.5, 0.4, 1.51), GRID.origin_mm))
    assert not same_grid(GRID, turned(1))


def test_grids_are_compared_before_anything_else_and_both_are_named(tmp_path):
    truth, found = tmp_path / "a_Label.nii.gz", tmp_path / "a.nii.gz"
    write_labels(Labels(np.zeros(GRID.shape, np.uint8), GRID), truth)
    write_labels(Labels(np.zeros(GRID.shape, np.uint8), turned(30)), found)

    with pytest.raises(EvaluationError) as refused:
        check_grids([Pair("a", truth, found), Pair("b", truth, None), Pair("c", truth, found)])
    line = str(refused.value)
    assert "\n" not in line
    assert "1 more" in line
    assert len(re.findall(r"\(20, 18, 5\) voxels of 0.5 x 0.4 x 1.5 mm", line)) == 2
    assert "axes [0.866 -0.500" in line
    assert "axes [1.000 0.000" in line


def labels_on(grid, seed=0):
    return np.random.default_rng(seed).integers(0, 4, grid.shape).astype(np.uint8)


def test_resampling_onto_the_own_grid_changes_nothing():
    voxels = labels_on(turned(20))

    np.testing.assert_array_equal(nearest_labels(voxels, turned(20), turned(20)), voxels)


def test_flipped_and_transposed_voxels_come_back_to_their_places():
    flipped = Geometry(GRID.size, GRID.spacing_mm, (5, 6, 7), (0, 0, -1, -1, 0, 0, 0, 1, 0))
    upright, voxels = axial(flipped), labels_on(flipped)

    np.testing.assert_array_equal(
        nearest_labels(voxels, flipped, upright), reorient(voxels, flipped, upright)
    )


def test_each_voxel_gets_the_label_nearest_in_the_patient_also_oblique():
    """Looked up one by one: the nearest of all voxel centres, none beyond half a voxel."""
    source, target = turned(25), Geometry((16, 16, 4), (0.7, 0.6, 1.1), (-8.0, 6.0, 10.2))
    voxels = labels_on(source)
    found = nearest_labels(voxels, source, target)

    into = source.axes / np.array(source.spacing_mm)
    for z, y, x in np.ndindex(target.shape):
        apart = np.subtract(target.position_mm((x, y, z)), source.origin_mm)
        i, j, k = np.rint(apart @ into).astype(int)
        inside = all(0 <= at < size for at, size in zip((i, j, k), source.size, strict=True))
        assert found[z, y, x] == (voxels[k, j, i] if inside else 0)
    assert 0 < np.count_nonzero(found) < found.size


def test_an_empty_map_and_one_elsewhere_resample_to_background():
    far = Geometry(GRID.size, GRID.spacing_mm, (500, 500, 500))

    assert not nearest_labels(np.zeros(GRID.shape, np.uint8), GRID, turned(5)).any()
    assert not nearest_labels(labels_on(GRID), GRID, far).any()
