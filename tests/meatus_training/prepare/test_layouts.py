import json

import pytest

from meatus_training.errors import TrainingError
from meatus_training.prepare.raw import THREE_PARTS, WHOLE_TUMOUR
from meatus_training.prepare.stage import find_scans
from tests.meatus_training.prepare.folders import SOURCE, TARGET, VALIDATION, describe, touch

PARTS = {"background": 0, "extra-meatal VS": 1, "intra-meatal VS": 2, "cochlea": 3}


def listed(found):
    return sorted((case.split, case.name, case.site, case.modality) for case in found.cases)


def test_the_challenge_of_2023_is_found_by_its_names(tmp_path):
    touch(
        tmp_path,
        f"{SOURCE}ldn_1_ceT1.nii.gz",
        f"{SOURCE}ldn_1_Label.nii.gz",
        f"{TARGET}etz_106_T2.nii.gz",
        f"{VALIDATION}ukm_211_T2.nii.gz",
    )

    found = find_scans(tmp_path)

    assert found.problems == found.notes == ()
    assert listed(found) == [
        ("source", "crossmoda2023_ldn_1", "ldn", "ceT1"),
        ("target", "crossmoda2023_etz_106", "etz", "hrT2"),
        ("validation", "crossmoda2023_ukm_211", "ukm", "hrT2"),
    ]
    source = next(case for case in found.cases if case.split == "source")
    assert source.label.name == "crossmoda2023_ldn_1_Label.nii.gz"
    assert source.parts == THREE_PARTS
    assert all(case.label is None for case in found.cases if case is not source)


def test_the_years_before_have_the_tumour_as_one_class(tmp_path):
    touch(
        tmp_path,
        "source_training/crossmoda_1_ceT1.nii.gz",
        "source_training/crossmoda_1_Label.nii.gz",
        "target_training/crossmoda_106_hrT2.nii.gz",
        "target_validation/crossmoda_211_hrT2.nii.gz",
    )

    found = find_scans(tmp_path)

    assert found.layout == "crossMoDA 2021/2022"
    assert found.problems == ()
    assert [case.parts for case in found.cases if case.split == "source"] == [WHOLE_TUMOUR]
    assert sorted(case.split for case in found.cases) == ["source", "target", "validation"]


def test_the_year_in_a_name_decides_where_both_are_together(tmp_path):
    names = [f"crossmoda{year}_ldn_1_{end}" for year in (2022, 2023) for end in ("ceT1", "Label")]
    touch(tmp_path, *(f"{name}.nii.gz" for name in names), "crossmoda2022_ldn_9_hrT2.nii.gz")

    parts = {case.name: case.parts for case in find_scans(tmp_path).cases}

    assert parts["crossmoda2022_ldn_1"] == WHOLE_TUMOUR
    assert parts["crossmoda2023_ldn_1"] == THREE_PARTS


def test_truth_test_scans_and_hidden_files_are_left_aside(tmp_path):
    touch(
        tmp_path,
        f"{TARGET}ldn_2_T2.nii.gz",
        "crossmoda23_test/crossmoda2023_ldn_4_T2.nii.gz",
        "truth/target/crossmoda2023_ldn_2_Label.nii.gz",
        "paired/crossmoda2023_ldn_1_T2.nii.gz",
        "crossmoda23_training/TrainingTarget/._crossmoda2023_ldn_2_T2.nii.gz",
        "cohort.csv",
    )

    found = find_scans(tmp_path)

    assert listed(found) == [("target", "crossmoda2023_ldn_2", "ldn", "hrT2")]
    assert found.problems == ()


def test_everything_missing_or_misnamed_is_listed_at_once(tmp_path):
    touch(
        tmp_path,
        f"{SOURCE}ldn_1_ceT1.nii.gz",
        f"{SOURCE}ldn_2_Label.nii.gz",
        f"{SOURCE}ldn_3.nii.gz",
        f"{VALIDATION}ldn_4_Label.nii.gz",
        f"{TARGET}ldn_5_T2.nii.gz",
        f"{TARGET}ldn_5_T2.nii",
    )

    problems = "\n".join(find_scans(tmp_path).problems)

    assert f"{SOURCE}ldn_1_ceT1.nii.gz: its label map crossmoda2023_ldn_1_Label is" in problems
    assert f"{SOURCE}ldn_2_Label.nii.gz: its scan crossmoda2023_ldn_2_ceT1 is missing" in problems
    assert f"{SOURCE}ldn_3.nii.gz: not a name of the challenge" in problems
    assert f"{VALIDATION}ldn_4_Label.nii.gz: found among validation scans" in problems
    assert f"{TARGET}ldn_5_T2.nii.gz: crossmoda2023_ldn_5 is {TARGET}ldn_5_T2.nii" in problems
    assert len(problems.splitlines()) == 5


def test_labels_beside_hrt2_scans_are_not_read_and_this_is_said(tmp_path):
    touch(tmp_path, f"{TARGET}ldn_1_T2.nii.gz", f"{TARGET}ldn_1_Label.nii.gz")

    found = find_scans(tmp_path)

    assert [case.label for case in found.cases] == [None]
    assert "1 label maps of hrT2 scans are not read" in found.notes[0]


def test_a_folder_without_scans_says_what_is_expected(tmp_path):
    with pytest.raises(TrainingError, match="holds no scan; expected the challenge's folders"):
        find_scans(touch(tmp_path, "readme.txt"))
    with pytest.raises(TrainingError, match="nowhere: cannot be read"):
        find_scans(tmp_path / "nowhere")


def test_folders_behind_links_are_looked_into_once(tmp_path):
    touch(tmp_path / "elsewhere", "crossmoda2023_ldn_1_T2.nii.gz")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/TrainingTarget").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "data")

    assert listed(find_scans(tmp_path / "data")) == [
        ("target", "crossmoda2023_ldn_1", "ldn", "hrT2")
    ]


def test_two_nnunet_data_sets_are_source_and_target(tmp_path):
    source = describe(tmp_path / "Dataset001_T1", {"0": "ceT1"}, PARTS, numTraining=1)
    target = describe(tmp_path / "Dataset002_T2", {"0": "hrT2"}, PARTS)
    touch(source, "imagesTr/crossmoda2023_ldn_1_0000.nii.gz", "imagesTs/z_0000.nii.gz")
    touch(source, "labelsTr/crossmoda2023_ldn_1.nii.gz")
    touch(target, "imagesTr/b_2_0000.nii.gz", "labelsTr/b_2.nii.gz", "imagesTs/c_0000.nii.gz")

    found = find_scans(tmp_path)

    assert found.layout == "nnU-Net raw"
    assert found.problems == ()
    assert listed(found) == [
        ("source", "crossmoda2023_ldn_1", "ldn", "ceT1"),
        ("target", "b_2", "other", "hrT2"),
        ("validation", "c", "other", "hrT2"),
    ]
    assert len(found.notes) == 2  # the target's labels, the source's scans to predict


def test_the_channels_of_one_nnunet_data_set_are_source_and_target(tmp_path):
    describe(tmp_path, {"0": "contrast T1", "1": "T2"}, {"background": 0, "VS": 1, "cochlea": 2})
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")

    found = find_scans(tmp_path)

    assert {case.split: case.scan.name for case in found.cases} == {
        "source": "a_0000.nii.gz",
        "target": "a_0001.nii.gz",
    }
    assert found.cases[0].parts == WHOLE_TUMOUR


def test_labels_of_nnunet_go_by_their_names_not_their_numbers(tmp_path):
    describe(tmp_path, {"0": "T1"}, {"background": 0, "intra": 1, "extra": 2, "cochlea": 3})
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")

    assert find_scans(tmp_path).cases[0].parts == (
        "background", "intra_meatal", "extra_meatal", "cochlea"
    )  # fmt: skip


def test_version_1_of_nnunet_is_understood(tmp_path):
    told = {"modality": {"0": "T1"}, "labels": {"0": "background", "1": "VS", "2": "cochlea"}}
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")

    found = find_scans(tmp_path)

    assert found.problems == ()
    assert found.cases[0].parts == WHOLE_TUMOUR


def test_what_an_nnunet_folder_lacks_is_listed_at_once(tmp_path):
    describe(tmp_path, {"0": "T1", "1": "T2"}, PARTS, numTraining=3)
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "imagesTr/b_0000.nii.gz")
    touch(tmp_path, "labelsTr/b.nii.gz", "labelsTr/c.nii.gz", "imagesTs/d.nii.gz")

    assert find_scans(tmp_path).problems == (
        "imagesTr/b_0001.nii.gz: is missing.",
        "labelsTr/a.nii.gz: is missing.",
        "imagesTs/d.nii.gz: not <case>_<channel>.nii.gz of a channel in dataset.json.",
        "labelsTr/c.nii.gz: its scan in imagesTr is missing.",
        "dataset.json: numTraining is 3; imagesTr holds 2 cases.",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"channel_names": {"0": "CT"}}, "channel 0 is 'CT'; expected a name with T1 or T2"),
        ({"channel_names": {}}, "no channel_names"),
        ({"labels": {"background": 0, "liver": 1}}, "label 'liver' is 1"),
        ({"labels": {"background": 0, "VS": [1, 2]}}, "label 'VS' is [1, 2]"),
        ({"labels": {"background": 0, "cochlea": 2}}, "expected 0 (background), 1, 2..."),
        ({"labels": {"background": 0, "VS": 1, "tumour": 2}}, "expected 0 (background), 1, 2..."),
        ({"labels": None}, "no labels"),
        ({"file_ending": ".png"}, "file_ending is .png; expected .nii.gz"),
    ],
)
def test_a_description_that_cannot_be_used_says_why(tmp_path, changes, told):
    describe(tmp_path, {"0": "T1"}, PARTS)
    content = json.loads((tmp_path / "dataset.json").read_text()) | changes
    (tmp_path / "dataset.json").write_text(json.dumps(content))

    problems = find_scans(tmp_path).problems

    assert problems[0].startswith("dataset.json: ")
    assert told in problems[0]


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_description_that_is_no_object_is_told(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)

    assert find_scans(tmp_path).problems[0].startswith("dataset.json: ")
