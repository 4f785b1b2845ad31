"""Which files of a tree are labelled, what is left out and told, and where results go."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import UsageError
from meatus.io.images import read_scan
from meatus.io.tree import files_below
from meatus.report.case_table import read_report
from meatus.service.cases import SHOWN, Skipped, find_cases, skipped_lines, skipped_words
from meatus.service.inputs import find_inputs
from tests.meatus.dicom.series_files import save_series
from tests.meatus.tiny_runs import run_here, save_scan, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def predict(source, output, weights, *more):
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast", *more)
    return run_here("predict", source, output, *options)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def files_in(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def found_in(folder, **options):
    found = find_cases(folder, folder / "out", **options)
    return [case.name for case in found.cases], {one.name: one.why for one in found.skipped}


def test_sub_folders_are_searched_and_results_lie_as_the_scans_do(tmp_path):
    touch(tmp_path, "b/x_T2.nii.gz", "a/x_T2.nii.gz", "a/deep/y.mha", "x.nii", ".hidden/z.nii")

    found = find_cases(tmp_path, Path("out"))

    assert [case.name for case in found.cases] == ["a/deep/y", "a/x", "b/x", "x"]
    assert [str(case.result) for case in found.cases] == [
        "out/a/deep/y.nii.gz", "out/a/x.nii.gz", "out/b/x.nii.gz", "out/x.nii.gz",
    ]  # fmt: skip
    assert found_in(tmp_path, recursive=False)[0] == ["x"]


def test_earlier_results_in_a_folder_of_the_input_are_no_scans(tmp_path):
    touch(tmp_path, "a_T2.nii.gz", "out/a.nii.gz", "out/more/b.nii.gz")

    assert found_in(tmp_path) == (["a"], {})


def test_a_folder_named_as_a_scan_is_looked_into(tmp_path):
    touch(tmp_path, "p/scan.nii.gz/scan.nii.gz")

    assert found_in(tmp_path)[0] == ["p/scan.nii.gz/scan"]


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path):
    touch(tmp_path, "data/a.nii", "elsewhere/b.nii")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")

    assert found_in(tmp_path / "data")[0] == ["a", "linked/b"]


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.nii", "closed/b.nii")
    inner = Path.iterdir

    def iterdir(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return inner(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)

    with pytest.raises(UsageError, match=r"closed cannot be read \(Permission denied\)"):
        list(files_below(tmp_path))


def test_what_another_contrast_or_a_label_map_is_named_is_left_out(tmp_path):
    names = ("p/T2.nii.gz", "p/T1.nii.gz", "p/a_FLAIR.nii.gz", "p/a-mask.nii.gz", "p/a_ceT1.mha")
    touch(tmp_path, *names)

    cases, skipped = found_in(tmp_path)

    assert cases == ["p/T2"]
    assert skipped == {
        "p/T1.nii.gz": "T1",
        "p/a_FLAIR.nii.gz": "FLAIR",
        "p/a-mask.nii.gz": "a label map (mask)",
        "p/a_ceT1.mha": "ceT1",
    }


def test_contrasts_of_nnunet_are_left_out_only_beside_their_first(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii.gz", "b_0002.nii.gz")

    cases, skipped = found_in(tmp_path)

    assert cases == ["a", "b_0001", "b_0002"]
    assert skipped == {"a_0001.nii.gz": "nnU-Net's contrast 0001"}


def test_of_a_bids_dataset_only_t2w_scans_are_cases(tmp_path):
    touch(
        tmp_path, "dataset_description.json", "sub-1/anat/sub-1_T2w.nii.gz",
        "sub-1/anat/sub-1_T2starmap.nii.gz", "sub-1/func/sub-1_task-rest_bold.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_acq-hr_T2w.nii.gz", "derivatives/x/sub-1_T2w.nii.gz",
        "other/derivatives/y_T2.nii.gz",
    )  # fmt: skip

    cases, skipped = found_in(tmp_path)

    assert cases == [
        "other/derivatives/y", "sub-1/anat/sub-1", "sub-1/ses-a/anat/sub-1_ses-a_acq-hr",
    ]  # fmt: skip
    assert sorted(skipped) == [
        "derivatives/",
        "sub-1/anat/sub-1_T2starmap.nii.gz",
        "sub-1/func/sub-1_task-rest_bold.nii.gz",
    ]


def test_many_that_are_left_out_are_counted_by_kind():
    many = [Skipped(f"{number}_T1.nii", "T1") for number in range(SHOWN + 1)]

    assert skipped_lines(many) == ["left out by their names: 11 x T1"]
    assert skipped_words(many).endswith("9_T1.nii, ...")
    assert skipped_words(many, named=False) == "11 left out by name"
    assert skipped_lines([Skipped("a_T1.nii", "T1")]) == ["left out by its name: a_T1.nii, T1"]
    assert skipped_lines([]) == []


def test_a_run_over_a_tree_reports_each_case_apart_and_resumes(tmp_path, weights):
    source, out, report = tmp_path / "in", tmp_path / "in" / "out", tmp_path / "report"
    for number, name in enumerate(("a/x_T2.nii.gz", "b/x_T2.nii.gz", "b/x_T1.nii.gz")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        save_scan(source / name, seed=number)

    first = predict(source, out, weights, "--report", report, "--pdf")
    again = predict(source, out, weights, "--report", report, "--resume", "--log-json")

    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    assert files_in(out) == ["a/x.nii.gz", "b/x.nii.gz"]
    lines = first.stdout.splitlines()
    assert "left out by its name: b/x_T1.nii.gz, T1" in lines
    assert lines[-1] == "2 of 2 cases done, 1 left out by name: b/x_T1.nii.gz"
    assert [row.case for row in read_report(report)] == ["a/x", "b/x"]
    assert {"a/x.png", "b/x.png", "cases/a/x.html", "cases/b/x.html"} <= set(files_in(report))
    assert 'href="cases/a/x.html"' in (report / "index.html").read_text()
    assert 'href="../../index.html"' in (report / "cases" / "a" / "x.html").read_text()
    events = [json.loads(line) for line in again.stdout.splitlines()]
    start = next(event for event in events if event["event"] == "start")
    assert (start["cases"], start["to_do"]) == (2, 0)
    assert events[-1]["left_out"] == 1


def test_an_anonymous_log_names_no_sub_folder(tmp_path, weights):
    (tmp_path / "Anna").mkdir()
    save_scan(tmp_path / "Anna" / "scan_T2.nii.gz")
    save_scan(tmp_path / "Anna" / "late_T1.nii.gz")
    (tmp_path / "Anna" / "bad_T2.nii.gz").write_bytes(b"")

    done = predict(tmp_path, tmp_path / "out", weights, "--anonymous-log")

    assert done.exit_code == 1
    assert not any(word in done.output + done.stderr for word in ("Anna", "scan_T2", "late"))
    assert "1 left out by name" in done.stdout


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".nrrd", ".seg.nrrd"])
def test_one_scan_becomes_the_file_that_is_named(tmp_path, weights, suffix):
    scan = save_scan(tmp_path / "p_T1.nii.gz")  # named on purpose: labelled whatever its name

    done = predict(scan, tmp_path / "new" / f"found{suffix}", weights)

    assert done.exit_code == 0, done.output
    assert files_in(tmp_path / "new") == [f"found{suffix}"]
    labels = read_scan(tmp_path / "new" / f"found{suffix}")
    assert sorted(np.unique(labels.voxels)) == [0, 3]
    np.testing.assert_allclose(labels.geometry.spacing_mm, (1, 1, 1.5))


def test_a_named_file_of_a_failed_scan_is_absent_or_empty(tmp_path, weights):
    scan = save_scan(tmp_path / "a.nii.gz")
    scan.write_bytes(scan.read_bytes()[:2000])

    failed = predict(scan, tmp_path / "out" / "seg.mha", weights)
    assert (failed.exit_code, files_in(tmp_path / "out")) == (1, [])

    empty = predict(scan, tmp_path / "out" / "seg.mha", weights, "--on-error", "empty")
    assert empty.exit_code == 1
    assert not sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "out" / "seg.mha")).any()


@pytest.mark.parametrize(
    ("name", "options", "written"),
    [
        ("found.nii.gz", (), ["found.nii.gz"]),
        ("found.seg.dcm", (), ["found.seg.dcm"]),
        ("found.sr.dcm", (), ["found.seg.dcm", "found.sr.dcm"]),  # it points at the segments
        (
            "found.nii.gz",
            ("--output", "nifti,rtstruct"),
            ["found.nii.gz", "found.rtstruct.dcm"],
        ),
    ],
)
def test_a_series_becomes_the_file_that_is_named(tmp_path, weights, name, options, written):
    save_series(tmp_path / "study" / "deep")

    done = predict(tmp_path / "study", tmp_path / "out" / name, weights, *options)

    assert done.exit_code == 0, done.output
    assert files_in(tmp_path / "out") == written


def test_a_study_in_a_sub_folder_is_not_searched_where_that_is_not_wanted(tmp_path):
    save_series(tmp_path / "study" / "deep")

    def find(**options):
        return find_inputs(tmp_path / "study", tmp_path / "out", print, **options).cases

    assert len(find()) == 1
    with pytest.raises(UsageError, match="holds no scan"):
        find(recursive=False)


def test_dicom_beside_scans_is_told(tmp_path, weights):
    save_series(tmp_path / "in" / "dicom")
    save_scan(tmp_path / "in" / "a_T2.nii.gz")

    done = predict(tmp_path / "in", tmp_path / "out", weights)

    assert done.exit_code == 0
    assert "left alone: " in done.stdout
    assert files_in(tmp_path / "out") == ["a.nii.gz"]


def test_results_beside_a_study_do_not_hide_it_from_the_next_run(tmp_path, weights):
    save_series(tmp_path / "in" / "dicom")
    out = tmp_path / "in" / "out"
    assert predict(tmp_path / "in", out, weights).exit_code == 0

    again = predict(tmp_path / "in", out, weights, "--resume")

    assert again.exit_code == 0
    assert "cases: 1, 1 already done" in again.stdout
    assert nib.load(next(out.glob("*.nii.gz"))).ndim == 3
