import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.score import EvaluationError, score_folders, summary
from inference.geometry import Geometry
from inference.images import write_labels
from inference.volumes import Labels

ROOT = Path(__file__).resolve().parents[2]
GRID = Geometry((20, 20, 4), (0.5, 0.5, 1.5), (0, 0, 0))


def save(folder, name, boxes, grid=GRID):
    """A label map with one (Z, Y, X) box per label."""
    folder.mkdir(exist_ok=True)
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for label, box in boxes.items():
        voxels[box] = label
    write_labels(Labels(voxels, grid), folder / name)


@pytest.fixture
def folders(tmp_path):
    truth = {1: np.s_[1:3, 5:10, 5:9], 2: np.s_[1:3, 5:10, 9:12], 3: np.s_[1:3, 2:4, 2:4]}
    found = {1: np.s_[1:3, 5:10, 5:10], 2: np.s_[1:3, 5:10, 10:12]}
    save(tmp_path / "reference", "a_Label.nii.gz", truth)
    save(tmp_path / "found", "a.nii.gz", found)
    return tmp_path / "found", tmp_path / "reference"


def test_dice_per_structure_is_as_computed_on_paper(folders):
    (score,) = score_folders(*folders)

    assert score.case == "a"
    assert score.dice["extra_meatal"] == pytest.approx(2 * 40 / (50 + 40))
    assert score.dice["intra_meatal"] == pytest.approx(2 * 20 / (20 + 30))
    assert score.dice["whole_vs"] == 1
    assert score.dice["cochlea"] == 0


def test_a_missing_prediction_counts_as_nothing_found(folders):
    found, reference = folders
    save(reference, "b_Label.nii.gz", {1: np.s_[1:3, 5:10, 5:9]})

    scores = score_folders(found, reference)

    assert [score.case for score in scores] == ["a", "b"]
    assert scores[1].dice == {"extra_meatal": 0, "whole_vs": 0}
    assert summary(scores)["whole_vs"] == 0.5
    assert summary(scores)["cochlea"] == 0  # of case a alone: b has none


def test_another_grid_is_refused_with_both_in_the_line(folders):
    found, reference = folders
    save(found, "a.nii.gz", {}, Geometry((20, 20, 5), (0.5, 0.5, 1.5), (0, 0, 0)))

    with pytest.raises(EvaluationError, match=r"\(20, 20, 5\).*\(20, 20, 4\)"):
        score_folders(found, reference)


def test_a_folder_without_references_is_refused(folders, tmp_path):
    with pytest.raises(EvaluationError, match="no label map"):
        score_folders(folders[0], folders[0])


def test_the_command_prints_a_table_and_writes_scores_and_pictures(folders, tmp_path):
    found, reference = folders
    scan = np.random.default_rng(0).integers(0, 255, GRID.shape).astype(np.uint8)
    write_labels(Labels(scan, GRID), reference / "a_T2.nii.gz")
    arguments = ["score", found, reference, "--json", tmp_path / "s.json"]
    arguments += ["--pictures", tmp_path / "pictures"]

    done = subprocess.run(
        [sys.executable, "-m", "evaluation", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert "whole_vs" in done.stdout
    assert json.loads((tmp_path / "s.json").read_text())["mean"]["whole_vs"] == 1
    assert (tmp_path / "pictures" / "a.png").stat().st_size > 10_000
