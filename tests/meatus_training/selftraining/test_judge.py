"""Scores of a round: as the evaluation finds them, on label maps with a known answer."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.io.images import read_scan, write_labels
from meatus.postprocess import clean
from meatus.volumes import Labels
from meatus_training.errors import TrainingError
from meatus_training.selftraining import judge
from meatus_training.selftraining.judge import in_words, label_and_score, score
from tests.meatus_training.selftraining.ears import GRID, ears


def write(folder, name, labels, geometry=GRID):
    folder.mkdir(exist_ok=True)
    write_labels(Labels(labels, geometry), folder / f"{name}.nii.gz")


def test_a_perfect_map_and_an_empty_one_score_half_on_average(tmp_path):
    for case in ("a", "b"):
        write(tmp_path / "truth", f"{case}_Label", ears())
    write(tmp_path / "found", "a", ears())
    write(tmp_path / "found", "b", np.zeros_like(ears()))

    scores = score(tmp_path / "found", tmp_path / "truth")

    assert scores["cochlea"] == {"dice": 0.5, "assd_mm": 175.0}  # 350 mm for an empty map
    assert in_words(scores).startswith("Dice 0.500 / 0.500 / 0.500 (extra-meatal")


def test_maps_on_the_prepared_grid_can_be_scored_too(tmp_path):
    coarse = Geometry((65, 60, 30), (2.0, 1.0, 1.0), (-64.0, -30.0, -15.0))
    write(tmp_path / "truth", "a_Label", ears())
    write(tmp_path / "found", "a", np.ascontiguousarray(ears()[..., ::2]), coarse)

    scores = score(tmp_path / "found", tmp_path / "truth", resample=True)

    # All structures begin and end at even voxels: the coarse map has each of them whole.
    assert scores["cochlea"]["dice"] == 1.0


def test_what_cannot_be_scored_ends_in_the_evaluations_own_words(tmp_path):
    write(tmp_path / "found", "a", ears())
    (tmp_path / "truth").mkdir()

    with pytest.raises(TrainingError, match="cannot be scored by"):
        score(tmp_path / "found", tmp_path / "truth")


def test_label_maps_are_cleaned_as_a_users_are(monkeypatch, tmp_path):
    """Pseudo-labels may be held to one tumour a head; what is judged keeps one by each ear."""
    both = np.ascontiguousarray(np.maximum(ears(), ears()[..., ::-1]))
    monkeypatch.setattr(judge, "load_teacher", lambda *_: None)
    monkeypatch.setattr(judge, "read_scan", lambda file: file)
    monkeypatch.setattr(
        judge,
        "segment",
        lambda scan, model, rules: SimpleNamespace(labels=clean(Labels(both, GRID), rules)),
    )
    monkeypatch.setattr(judge, "weights_key", str)
    write(tmp_path / "truth", "a_Label", both)
    scans = {"a": tmp_path / "truth" / "a_Label.nii.gz"}
    fabric = SimpleNamespace(barrier=lambda: None, is_global_zero=True)
    context = SimpleNamespace(
        fabric=fabric,
        share=range,
        check_stop=lambda what: None,
        carry_out=lambda folder, key, job, makes: (folder.mkdir(), job()),
    )

    found = tmp_path / "found"
    label_and_score(scans, tmp_path / "truth", tmp_path, "standard", found, context)

    np.testing.assert_array_equal(read_scan(found / "a.nii.gz").voxels, both)
    summary = json.loads((tmp_path / "found.scores.json").read_text())["summary"]
    assert summary[0]["measures"]["whole_vs"]["dice"]["mean"] == 1.0
