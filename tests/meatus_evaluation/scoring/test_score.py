import csv
import io
import math

import numpy as np
import pytest
from medpy.metric import binary as medpy

from meatus.errors import InferenceError
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_evaluation.scoring.match import EvaluationError
from meatus_evaluation.scoring.score import score_folders, table_text
from meatus_evaluation.scoring.summary import summary
from tests.meatus_evaluation.label_maps import GRID, TRUTH
from tests.meatus_evaluation.label_maps import save as save_map

COS, SIN = math.cos(0.4), math.sin(0.4)
OBLIQUE = Geometry((20, 20, 4), (0.5, 0.5, 1.5), (3, 4, 5), (COS, 0, SIN, 0, 1, 0, -SIN, 0, COS))


def save(folder, name, boxes, grid=GRID):
    """A label map with one (Z, Y, X) box per label."""
    save_map(folder / name, boxes, grid)


FOUND = {1: np.s_[1:3, 5:10, 5:10], 2: np.s_[1:3, 5:10, 10:12]}


@pytest.fixture
def folders(tmp_path):
    save(tmp_path / "reference", "a_Label.nii.gz", TRUTH)
    save(tmp_path / "found", "a.nii.gz", FOUND)
    return tmp_path / "found", tmp_path / "reference"


def test_scores_per_structure_are_as_computed_on_paper(folders):
    (score,) = score_folders(*folders)

    assert score.case == "a"
    assert score.dice["extra_meatal"] == pytest.approx(2 * 40 / (50 + 40))
    assert score.dice["intra_meatal"] == pytest.approx(2 * 20 / (20 + 30))
    assert score.dice["whole_vs"] == 1
    assert score.dice["cochlea"] == 0
    assert score.structures["cochlea"].assd_mm == 350
    assert score.structures["cochlea"].outcome == "missed"
    assert score.structures["extra_meatal"]["volume_error_mm3"] == pytest.approx(10 * 0.375)
    assert score.boundary_assd_mm == pytest.approx(0.5)  # one voxel further
    assert score.failure is None


def test_distances_are_of_the_true_spacing_on_an_oblique_grid(tmp_path):
    save(tmp_path / "reference", "a_Label.nii.gz", TRUTH, OBLIQUE)
    save(tmp_path / "found", "a.nii.gz", FOUND, OBLIQUE)

    (score,) = score_folders(tmp_path / "found", tmp_path / "reference")

    masks = np.zeros((2, *OBLIQUE.shape), dtype=bool)
    masks[0][FOUND[1]] = masks[1][TRUTH[1]] = True
    expected = medpy.assd(*masks, voxelspacing=(1.5, 0.5, 0.5))
    assert score.structures["extra_meatal"].assd_mm == pytest.approx(expected, abs=1e-6)


def test_a_missing_prediction_counts_as_nothing_found(folders):
    found, reference = folders
    save(reference, "b_Label.nii.gz", {1: np.s_[1:3, 5:10, 5:9]})

    scores = score_folders(found, reference)

    assert [score.case for score in scores] == ["a", "b"]
    assert scores[1].failure == "b: no prediction"
    assert scores[1].dice == {"extra_meatal": 0, "whole_vs": 0}
    assert summary(scores)["whole_vs"] == 0.5
    assert summary(scores)["cochlea"] == 0  # of case a alone: b has none


def test_what_neither_map_has_is_agreed_upon_unless_there_was_no_result(folders):
    found, reference = folders
    for case in "bc":
        save(reference, f"{case}_Label.nii.gz", {1: np.s_[1:3, 5:10, 5:9]})
    save(found, "b.nii.gz", {1: np.s_[1:3, 5:10, 5:9]})

    _, agreed, failed = score_folders(found, reference)

    for score, dice, distance in ((agreed, 1, 0), (failed, 0, 350)):
        cochlea = score.structures["cochlea"]
        assert cochlea.outcome == "absent"
        assert (cochlea["dice"], cochlea["surface_dice"]) == (dice, dice)
        assert [cochlea[name] for name in ("assd_mm", "assd_means_mm", "hd95_mm")] == [distance] * 3
        assert score.boundary_assd_mm == distance


@pytest.mark.parametrize("what", ["cut short", "label 7", "halves", "negative"])
def test_a_prediction_that_cannot_be_used_is_a_failure_and_says_why(folders, what):
    found, _ = folders
    file = found / "a.nii.gz"
    if what == "cut short":
        file.write_bytes(file.read_bytes()[:100])
    elif what == "label 7":
        save(found, "a.nii.gz", {7: np.s_[0, 0, 0]})
    else:
        file.unlink()
        values = np.zeros(GRID.shape, dtype="<f4")
        values[0, 0, 0] = {"halves": 0.5, "negative": -1}[what]
        file = found / "a.mha"
        head = (
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
            "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
            "ElementSpacing = 0.5 0.5 1.5\nDimSize = 20 20 4\nElementType = MET_FLOAT\n"
            "ElementDataFile = LOCAL\n"
        )
        file.write_bytes(head.encode() + values.tobytes())

    (score,) = score_folders(*folders)

    assert str(file) in score.failure
    assert "\n" not in score.failure
    assert set(score.dice.values()) == {0}


def test_a_reference_that_cannot_be_used_is_refused_and_named(folders):
    save(folders[1], "a_Label.nii.gz", {4: np.s_[0, 0, 0]})
    with pytest.raises(
        InferenceError, match=r"a_Label.nii.gz: holds 4 in 1 of .* expected 0 background.* scheme"
    ):
        score_folders(*folders)

    (folders[1] / "a_Label.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InferenceError, match=r"a_Label.nii.gz"):
        score_folders(*folders)


def test_labels_of_2023_are_refused_by_the_scheme_of_2022(folders):
    with pytest.raises(InferenceError, match=r"holds 3 in .* expected .*, 1 VS, 2 cochlea"):
        score_folders(*folders, scheme="2022")


def test_scheme_2022_has_the_whole_tumour_and_the_cochlea(tmp_path):
    save(tmp_path / "reference", "a_Label.nii.gz", {1: TRUTH[1], 2: TRUTH[3]})
    save(tmp_path / "found", "a.nii.gz", {1: FOUND[1], 2: TRUTH[3]})

    (score,) = score_folders(tmp_path / "found", tmp_path / "reference", scheme="2022")

    assert score.dice == {"whole_vs": pytest.approx(80 / 90), "cochlea": 1}
    assert score.boundary_assd_mm is None


def test_another_grid_is_refused_with_both_in_the_line(folders):
    found, reference = folders
    save(found, "a.nii.gz", {}, Geometry((20, 20, 5), (0.5, 0.5, 1.5), (0, 0, 0)))

    with pytest.raises(EvaluationError, match=r"\(20, 20, 5\).*\(20, 20, 4\)"):
        score_folders(found, reference)


def test_another_grid_is_put_onto_the_references_where_asked(folders):
    """The same voxels, numbered from the other end of x."""
    found, reference = folders
    flipped = Geometry(GRID.size, GRID.spacing_mm, (9.5, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
    boxes = {label: (z, y, slice(20 - x.stop, 20 - x.start)) for label, (z, y, x) in TRUTH.items()}
    save(found, "a.nii.gz", boxes, flipped)

    (score,) = score_folders(found, reference, resample=True)

    assert set(score.dice.values()) == {1}


def test_all_cores_give_what_one_gives_in_the_order_of_the_cases(folders):
    found, reference = folders
    for number in range(5):
        save(reference, f"b{number}_Label.nii.gz", TRUTH)
        save(found, f"b{number}.nii.gz", {1: np.s_[1:3, 5:10, 5 : 8 + number]})

    assert score_folders(found, reference, processes=3) == score_folders(
        found, reference, processes=1
    )


def test_the_table_has_a_row_per_case_and_structure_and_empty_cells_for_the_undefined(folders):
    save(folders[1], "b_Label.nii.gz", {1: TRUTH[1]})

    rows = list(csv.DictReader(io.StringIO(table_text(score_folders(*folders)))))

    assert [row["structure"] for row in rows[:5]] == [
        "extra_meatal", "intra_meatal", "whole_vs", "cochlea", "boundary"
    ]  # fmt: skip
    assert len(rows) == 10
    assert float(rows[4]["assd_mm"]) == pytest.approx(0.5)
    assert rows[4]["dice"] == ""
    assert {row["failure"] for row in rows[5:]} == {"b: no prediction"}
    assert rows[6]["volume_error_percent"] == ""  # of no intra-meatal part


def test_stray_voxels_in_opposite_corners_are_counted_and_measured(folders):
    found, reference = folders
    voxels = np.zeros((2, *GRID.shape), dtype=np.uint8)
    for label, box in TRUTH.items():
        voxels[(slice(None), *box)] = label
    voxels[1, 0, 0, 0] = voxels[1, -1, -1, -1] = 1
    write_labels(Labels(voxels[1], GRID), found / "a.nii.gz")

    extra = score_folders(found, reference)[0].structures["extra_meatal"]

    assert (extra.false_positives, extra.false_positives_mm3) == (2, pytest.approx(0.75))
    masks = voxels[1] == 1, voxels[0] == 1
    assert extra.assd_mm == pytest.approx(medpy.assd(*masks, (1.5, 0.5, 0.5)), abs=1e-9)
