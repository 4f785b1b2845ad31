import json

from meatus_training.prepare.challenge import find_challenge
from meatus_training.prepare.cohort import done_before
from meatus_training.prepare.description import describe
from meatus_training.prepare.nnunet import data_sets
from meatus_training.prepare.settings import PrepareSettings
from tests.meatus_training.prepare.folders import TARGET, touch

LABELS = {"background": 0, "extra-meatal": 1, "intra-meatal": 2, "cochlea": 3}


def test_a_data_set_says_channels_and_parts(tmp_path):
    told = {"channel_names": {"0": "T2"}, "labels": LABELS, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(told | {"numTraining": 7}))

    found, problems = describe(tmp_path)

    assert problems == []
    assert found.channels == (("0000", "hrT2"),)
    assert found.parts == ("background", "extra_meatal", "intra_meatal", "cochlea")
    assert found.count == 7


def test_a_folder_of_the_challenge_is_no_data_set(tmp_path):
    touch(tmp_path, f"{TARGET}etz_106_T2.nii.gz")

    assert not data_sets(tmp_path)
    assert [case.split for case in find_challenge(tmp_path).cases] == ["target"]


def test_in_an_empty_folder_nothing_was_done_before(tmp_path):
    touch(tmp_path, f"{TARGET}etz_106_T2.nii.gz")

    assert done_before(find_challenge(tmp_path), PrepareSettings(), tmp_path / "prepared") == {}
