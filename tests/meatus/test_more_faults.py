"""Killed in any stage of a report, or of DICOM objects; many runs into one folder at once."""

import json
import os
import signal
import subprocess
import time

import pydicom
import pytest

from tests.meatus.dicom.series_files import save_series
from tests.meatus.stopped_run import OBJECTS, REPORTING
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


def test_four_runs_at_once_into_one_folder_end_with_whole_results(
    tmp_path, scans, weights, undisturbed
):
    out = tmp_path / "out"
    runs = []
    for _ in range(4):
        arguments = command(*predict(scans, out, weights))
        runs.append(subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL))
        time.sleep(0.2)

    assert [process.wait(timeout=300) for process in runs] == [0] * 4
    assert contents(out) == undisturbed
