"""``meatus predict`` on DICOM studies, from the command line to the files."""

import json
import re
import shutil
import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.meatus.dicom.series_files import PATIENT, PLANES, head, save_series, series, uid
from tests.meatus.dicom.series_files import save as save_datasets
from tests.meatus.tiny_runs import ROOT, run_here, write_weights
from tests.shared_files import shared

ALL = "nifti,dicom-seg,dicom-sr,rtstruct"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def predict(weights, *arguments):
    return run_here("predict", *arguments, "--weights", weights, "--quality", "fast")


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_study_gives_a_label_map_and_segments(tmp_path, weights):
    study = uid()
    save_series(tmp_path / "in" / "t1", description="AX T1", number=3, study=study)
    save_series(tmp_path / "in" / "t2", axes=PLANES["oblique"], study=study, suffix="")

    done = predict(weights, tmp_path / "in", tmp_path / "out")

    assert (done.exit_code, done.stderr) == (0, "")
    assert "chosen: series 6 'AX T2 CISS': T2-weighted (TE 120 ms)" in done.stdout
    assert "not chosen: series 3 'AX T1'" in done.stdout
    labels, segments = names_in(tmp_path / "out")
    assert labels.startswith("AX_T2_CISS-")
    assert segments == labels.replace(".nii.gz", ".seg.dcm")
    image = sitk.ReadImage(str(tmp_path / "out" / labels))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "in" / "t2")))
    scan = reader.Execute()
    assert image.GetSize() == scan.GetSize()
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, name)(), getattr(scan, name)(), atol=1e-4)
    volume = hd.seg.segread(tmp_path / "out" / segments).get_volume(combine_segments=True)
    assert (volume.array > 0).sum() == (sitk.GetArrayFromImage(image) > 0).sum() > 0


def test_all_kinds_are_written_from_an_archive_and_reported(tmp_path, weights):
    save_series(tmp_path / "in")
    shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in")

    done = predict(
        weights, tmp_path / "study.zip", tmp_path / "out", "--output", "dicom-sr,rtstruct",
        "--report", tmp_path / "report",
    )  # fmt: skip

    assert done.exit_code == 0, done.stderr
    kinds = [name.partition(".")[2] for name in names_in(tmp_path / "out")]
    assert kinds == ["rtstruct.dcm", "seg.dcm", "sr.dcm"]  # an SR brings what it points at
    (row,) = json.loads((tmp_path / "report" / "report.json").read_text())["cases"]
    assert row["case"].startswith("AX_T2_CISS-")
    seg = pydicom.dcmread(next((tmp_path / "out").glob("*.seg.dcm")))
    parameters = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert "a.onnx SHA-256 " in parameters.AlgorithmParameters
    assert "quality=fast" in parameters.AlgorithmParameters.replace(" ", "")


def test_resume_makes_what_is_missing_and_no_more(tmp_path, weights):
    save_series(tmp_path / "in")
    arguments = (tmp_path / "in", tmp_path / "out", "--output", ALL, "--resume")
    predict(weights, *arguments)
    (segments,) = (tmp_path / "out").glob("*.seg.dcm")
    segments.unlink()

    again, last = predict(weights, *arguments), predict(weights, *arguments)

    assert segments.exists()
    assert "already done" not in again.stdout
    assert "cases: 1, 1 already done" in last.stdout


def test_a_broken_series_fails_alone_and_leaves_nothing(tmp_path, weights):
    save_series(tmp_path / "in" / "a")
    (file, *_) = save_series(tmp_path / "in" / "b")
    file.write_bytes(file.read_bytes()[:-100])
    save_series(tmp_path / "in" / "c", description="AX T1")

    done = predict(weights, tmp_path / "in", tmp_path / "out")

    assert done.exit_code == 1
    assert "1 of 3 cases done, 2 failed" in done.stdout
    first, second = sorted(done.stderr.splitlines())
    assert f"{file}: cut short" in first
    assert "no series of this study looks like a hrT2 scan" in second
    assert len(names_in(tmp_path / "out")) == 2


def test_a_failed_series_gets_an_empty_map_where_one_is_asked_for(tmp_path, weights):
    (file, *_) = save_series(tmp_path / "in")
    file.write_bytes(file.read_bytes()[:-100])

    done = predict(weights, tmp_path / "in", tmp_path / "out", "--on-error", "empty")

    assert done.exit_code == 1
    (name,) = names_in(tmp_path / "out")  # and no segments that say nothing was found
    assert not np.asarray(nib.load(tmp_path / "out" / name).dataobj).any()


WRONG = {
    "no DICOM": (("in.nii.gz", "out", "--series", "1.2"), "holds no DICOM"),
    "NIfTI": (("in.nii.gz", "out", "--output", "rtstruct"), "refers to the images of a DICOM"),
    "kind": (("in.nii.gz", "out", "--output", "png"), "expected some of nifti, dicom-seg"),
    "nothing there": (("nowhere", "out"), "does not exist"),
    "both": (("in.nii.gz", "out", "--patient-names", "--anonymous-log"), "choose one"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_is_refused_before_the_start(tmp_path, weights, monkeypatch, kind):
    from tests.meatus.tiny_runs import save_scan

    monkeypatch.chdir(tmp_path)
    save_scan(tmp_path / "in.nii.gz")
    arguments, words = WRONG[kind]

    done = predict(weights, *arguments)

    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_series_without_frame_of_reference_still_gives_a_label_map(tmp_path, weights):
    datasets = series(head())
    for dataset in datasets:
        del dataset["FrameOfReferenceUID"]
    save_datasets(datasets, tmp_path / "in")

    done = predict(weights, tmp_path / "in", tmp_path / "out")
    asked = predict(weights, tmp_path / "in", tmp_path / "out2", "--output", "dicom-seg")

    assert done.exit_code == 0
    assert "no DICOM-SEG, as the series states no Frame of Reference UID" in done.stdout
    assert len(names_in(tmp_path / "out")) == 1
    assert asked.exit_code == 2


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_an_anonymous_log_and_report_hold_nothing_of_the_patient(
    tmp_path, weights, archive, broken
):
    source = tmp_path / "in" / "Doe Jane" / "MRI 4711"
    files = save_series(source, description=f"T2 {PATIENT}")
    if broken:
        files[0].write_bytes(files[0].read_bytes()[:-100])
    study = tmp_path / "in"
    if archive:
        study = tmp_path / "study.zip"
        shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in")

    report = tmp_path / "report"
    done = predict(weights, study, tmp_path / "out", "--anonymous-log", "--report", report)

    assert done.exit_code == int(broken)
    told = [done.stdout, done.stderr, *((report / f"report.{kind}").read_text() for kind in
            ("csv", "json"))]  # fmt: skip
    for text in told:
        assert not {"doe", "jane", "4711"} & set(re.findall(r"[a-z]+|[0-9]+", text.lower())), text


def test_neither_import_nor_help_loads_dicom_libraries():
    code = (
        "import sys, meatus, meatus.cli\n"
        "from click.testing import CliRunner\n"
        "assert 'dicom-seg' in CliRunner().invoke(meatus.cli.main, ['predict', '--help']).output\n"
        "found = {'pydicom', 'highdicom', 'SimpleITK', 'torch', 'contourpy'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_real_series_is_labelled(tmp_path, weights):
    source = shared("data/real/dicom")

    done = predict(weights, source, tmp_path / "out", "--output", ALL)

    assert (done.exit_code, done.stderr) == (0, "")
    assert len(names_in(tmp_path / "out")) == 4
