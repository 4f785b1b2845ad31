from pathlib import Path

import pytest

from meatus_training.errors import TrainingError
from meatus_training.networks import ResUNet25d
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import save_checkpoint
from meatus_training.segmentation.member import spec_for
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.cohort import labels_file, read_verdicts
from meatus_training.selftraining.stage import SELFTRAIN, Rounds
from meatus_training.selftraining.teacher import publish
from tests.meatus_training.runs.test_provenance import cases_of


def test_a_verdict_that_is_missing_says_what_to_delete(tmp_path):
    with pytest.raises(TrainingError, match="cannot be read; delete"):
        read_verdicts(cases_of(tmp_path, target=1), tmp_path)


def test_labels_lie_beside_their_verdicts():
    (case,) = cases_of(Path("data"), target=1)

    assert labels_file(case, Path("pseudo")) == Path(f"pseudo/{case.name}.labels.npy")


def test_each_round_has_a_folder_of_its_own():
    assert SELFTRAIN == "selftrain"
    assert callable(Rounds.folder)


def test_what_is_published_bears_the_names_of_its_folders_alone(tmp_path):
    settings = SegmentSettings(width=2, blocks=1, depth=8)
    spec = spec_for(settings, PrepareSettings(), "a", "no real scan")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/old.onnx").touch()
    (tmp_path / "member_1").mkdir()
    save_checkpoint(tmp_path / "member_1/network.pt", ResUNet25d(2, 1), spec)

    publish([tmp_path / "member_1/network.pt"], tmp_path / "weights")

    assert [file.name for file in (tmp_path / "weights").glob("*.onnx")] == ["member_1.onnx"]
