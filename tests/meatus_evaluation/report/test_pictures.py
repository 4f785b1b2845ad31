import base64
import io

import numpy as np
import pytest
from PIL import Image

from meatus.errors import UsageError
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_evaluation.report.pictures import draw_pair, drawn_labels, find_scans
from meatus_evaluation.scoring.match import Pair, match_folders
from meatus_evaluation.scoring.score import read_labels
from tests.meatus_evaluation.label_maps import save as save_map
from tests.meatus_evaluation.report.html.test_page import FOUND, GRID, TRUTH, folders, save

__all__ = ["folders"]  # a fixture


def test_scans_are_found_beside_label_maps_whatever_their_mark(tmp_path):
    labels = save_map(tmp_path / "a_Label.nii.gz")
    for name in ("a_hrT2.nii.gz", "c_T2.nii.gz"):
        (tmp_path / name).touch()

    found = find_scans(tmp_path, [Pair("a", labels, None), Pair("b", labels, None)])

    assert found == {"a": tmp_path / "a_hrT2.nii.gz"}
    with pytest.raises(UsageError, match="cannot be read"):
        find_scans(tmp_path / "none", [])


def test_the_cochlea_of_2022_is_drawn_in_the_number_of_2023(tmp_path):
    file = save_map(tmp_path / "a.nii.gz", {1: np.s_[0, 0, 0], 2: np.s_[1, 1, 1]})

    drawn, _ = drawn_labels(file, "2022")

    assert (drawn[0, 0, 0], drawn[1, 1, 1]) == (1, 3)
    assert read_labels(file, "2022")[0][1, 1, 1] == 2


def picture(drawn, drawing=0, number=0):
    source = drawn.drawings[drawing].pictures[number].source
    content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def reds(pixels):
    """Pixels of the extra-meatal outline."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return int(np.count_nonzero((red > 120) & (green < red / 2) & (blue < red / 2)))


def test_reference_and_result_are_drawn_where_they_differ_over_the_scan(folders, tmp_path):
    (pair,) = match_folders(*folders).pairs
    save(folders[0], pair.prediction.name, FOUND | {1: np.s_[4:5, 10:30, 10:30]})
    grey = np.random.default_rng(0).integers(100, 200, GRID.shape).astype(np.uint8)
    write_labels(Labels(grey, GRID), tmp_path / "scan.nii.gz")

    drawn = draw_pair(pair, "2023", tmp_path / "scan.nii.gz")

    assert drawn.notes == ()
    assert drawn.drawings[0].title == "Tumour: slice 5 of 6, 400 voxels differ"
    assert [p.title for p in drawn.drawings[0].pictures] == ["reference", "result"]
    reference, result = (picture(drawn, 0, number) for number in (0, 1))
    assert reds(reference) == 0
    assert reds(result) > 100
    assert reference.mean() > 10  # the scan


def test_without_a_scan_outlines_are_drawn_over_black(folders):
    (pair,) = match_folders(*folders).pairs

    drawn = draw_pair(pair, "2023", None)

    assert drawn.notes == ()
    assert reds(picture(drawn)) > 100
    assert np.median(picture(drawn)) == 0


def test_a_picture_that_cannot_be_made_is_told_and_the_rest_is_drawn(folders, tmp_path):
    (pair,) = match_folders(*folders).pairs
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(b"no scan")
    pair.prediction.write_bytes(b"no labels")

    drawn = draw_pair(pair, "2023", scan)

    assert drawn.notes == ("The scan cannot be read.", "There is no usable result.")
    assert [p.title for p in drawn.drawings[0].pictures] == ["reference"]
    pair.reference.unlink()
    assert draw_pair(pair, "2023", scan).notes == ("The reference can no longer be read.",)


def test_maps_on_other_grids_are_put_onto_the_scans(folders, tmp_path):
    """The same place, numbered from the other end of x."""
    (pair,) = match_folders(*folders).pairs
    there = Geometry(GRID.size, GRID.spacing_mm, (19.5, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
    boxes = {label: (z, y, slice(40 - x.stop, 40 - x.start)) for label, (z, y, x) in TRUTH.items()}
    save(folders[0], pair.prediction.name, boxes, there)

    drawn = draw_pair(pair, "2023", None)

    assert drawn.drawings[0].title.endswith(", 0 voxels differ")
    np.testing.assert_array_equal(picture(drawn, 0, 0), picture(drawn, 0, 1))


def test_the_cochlea_of_2022_is_drawn_as_a_cochlea(tmp_path):
    save(tmp_path / "reference", "a_Label.nii.gz", {2: TRUTH[3]})
    save(tmp_path / "found", "a.nii.gz", {2: FOUND[3]})
    (pair,) = match_folders(tmp_path / "found", tmp_path / "reference").pairs

    drawn = draw_pair(pair, "2022", None)

    assert [drawing.title for drawing in drawn.drawings] == [
        "Cochlea: slice 3 of 6, 4 voxels differ"
    ]
    red, _, blue = np.moveaxis(picture(drawn), -1, 0)
    assert np.count_nonzero(blue > red + 60) > 50
