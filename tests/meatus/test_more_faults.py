"""Killed in any stage of a report, of DICOM objects or of several processes; many runs at once."""

import json
import os
import signal
import subprocess
import time

import nibabel as nib
import pydicom
import pytest

from tests.meatus.dicom.series_files import head, save_series
from tests.meatus.stopped_run import OBJECTS, REPORTING, SHARED
from tests.meatus.test_faults import CASES, contents, contents_of_results, predict, stop
from tests.meatus.tiny_runs import ROOT, command, run_here, save_scan, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for number, case in enumerate(CASES):
        save_scan(folder / f"{case}_T2.nii.gz", seed=number)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, scans, weights):
    out = tmp_path_factory.mktemp("undisturbed")
    assert run_here(*predict(scans, out, weights)).exit_code == 0
    return contents(out)


@pytest.mark.parametrize("stage", REPORTING)
def test_a_run_killed_while_it_reports_resumes_with_a_whole_report(
    tmp_path, scans, weights, undisturbed, stage
):
    out, report = tmp_path / "out", tmp_path / "report"
    arguments = predict(scans, out, weights, "--report", report)

    code, _ = stop(stage, signal.SIGKILL, tmp_path / "ready", *arguments)
    left = contents_of_results(out)
    rows = json.loads((report / "report.json").read_text())["cases"]
    for file in report.rglob(".*.part"):  # of the killed run, as they are an hour later
        os.utime(file, (0, 0))
    resumed = run_here(*arguments, "--resume")

    assert code == -signal.SIGKILL
    assert left.items() <= undisturbed.items()
    assert {row["case"] for row in rows} <= set(CASES)
    assert resumed.exit_code == 0, resumed.output
    assert contents(out) == undisturbed
    assert not list(report.rglob(".*.part"))
    after = [row["case"] for row in json.loads((report / "report.json").read_text())["cases"]]
    assert after == CASES  # that whose label map was there and whose row was not, too
    assert {file.stem for file in report.glob("*.png")} == set(CASES)
    assert all(path.read_bytes() for path in report.rglob("*.html"))


@pytest.mark.parametrize("stage", OBJECTS)
def test_a_run_killed_while_it_writes_objects_leaves_whole_ones_and_resumes(
    tmp_path, weights, stage
):
    save_series(tmp_path / "in")
    arguments = (
        *predict(tmp_path / "in", tmp_path / "out", weights),
        *("--output", "nifti,dicom-seg,dicom-sr,rtstruct"),
    )

    code, _ = stop(stage, signal.SIGKILL, tmp_path / "ready", *arguments)
    left = list((tmp_path / "out").glob("[!.]*"))
    for file in left:
        assert file.suffix == ".dcm"  # the label map comes last
        pydicom.dcmread(file)
    resumed = run_here(*arguments, "--resume")

    assert code == -signal.SIGKILL
    assert resumed.exit_code == 0, resumed.output
    kinds = sorted(file.name.partition(".")[2] for file in (tmp_path / "out").iterdir())
    assert kinds == ["nii.gz", "rtstruct.dcm", "seg.dcm", "sr.dcm"]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Three patients."""
    folder = tmp_path_factory.mktemp("studies")
    for number in range(3):
        save_series(folder / str(number), head(seed=number), PatientID=f"P-{number}")
    return folder


@pytest.fixture(scope="module")
def undisturbed_objects(tmp_path_factory, studies, weights):
    out = tmp_path_factory.mktemp("undisturbed")
    done = run_here(*predict(studies, out, weights, "--output", "nifti,dicom-seg"))
    assert done.exit_code == 0, done.output
    assert len(list(out.iterdir())) == 6
    return whole(out)


def whole(folder):
    """What each result holds, by name; raises where one is no whole file of its kind."""
    return {
        path.name: pydicom.dcmread(path).PixelData
        if path.suffix == ".dcm"
        else nib.load(path).get_fdata().tobytes()
        for path in sorted(folder.glob("[!.]*"))
    }


def reported(report):
    return [row["case"] for row in json.loads((report / "report.json").read_text())["cases"]]


def shared_out(studies, folder, weights):
    more = ("--jobs", "2", "--report", folder / "report", "--output", "nifti,dicom-seg")
    return predict(studies, folder / "out", weights, *more)


@pytest.mark.parametrize("stage", SHARED)
def test_processes_end_with_the_run_that_is_killed_and_it_resumes(
    tmp_path, studies, weights, undisturbed_objects, stage
):
    out, report = tmp_path / "out", tmp_path / "report"
    arguments = shared_out(studies, tmp_path, weights)

    code, _ = stop(stage, signal.SIGKILL, tmp_path / "ready", *arguments)
    left = whole(out)
    rows = reported(report)
    for file in report.rglob(".*.part"):  # of the killed run, as they are an hour later
        os.utime(file, (0, 0))
    resumed = run_here(*arguments[: arguments.index("--jobs")], *arguments[-4:], "--resume")

    assert code == -signal.SIGKILL
    assert left.items() <= undisturbed_objects.items()
    assert all(name.replace(".nii.gz", ".seg.dcm") in left for name in left)  # it comes first
    cases = sorted({name.partition(".")[0] for name in undisturbed_objects})
    assert set(rows) <= set(cases)
    assert resumed.exit_code == 0, resumed.output
    assert whole(out) == undisturbed_objects
    assert {path.name for path in out.iterdir()} == undisturbed_objects.keys()  # hidden ones too
    assert reported(report) == cases
    assert {file.stem for file in report.glob("*.png")} == set(cases)
    assert not list(report.rglob(".*.part"))


@pytest.mark.parametrize("stage", ["one is in the network", "one names a label map"])
def test_a_process_that_is_killed_costs_the_run_nothing(
    tmp_path, studies, weights, undisturbed_objects, stage
):
    out, report = tmp_path / "out", tmp_path / "report"
    arguments = shared_out(studies, tmp_path, weights)

    code, errors = stop(stage, signal.SIGKILL, tmp_path / "ready", *arguments, only_one=True)

    assert (code, errors) == (0, "")
    assert whole(out) == undisturbed_objects
    assert {path.name for path in out.iterdir()} == undisturbed_objects.keys()
    assert reported(report) == sorted({name.partition(".")[0] for name in undisturbed_objects})


@pytest.mark.parametrize("count", [2, 8])
def test_runs_at_once_into_one_folder_end_with_whole_results(
    tmp_path, scans, weights, undisturbed, count
):
    out = tmp_path / "out"
    runs = []
    for _ in range(count):
        arguments = command(*predict(scans, out, weights))
        runs.append(subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL))
        time.sleep(0.2)

    assert [process.wait(timeout=300) for process in runs] == [0] * count
    assert contents(out) == undisturbed
