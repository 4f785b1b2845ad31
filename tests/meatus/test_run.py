"""``--report`` as a user asks for it."""

import csv
import json

import pytest

from tests.meatus.test_cli import predict, save_scan, weights  # noqa: F401  a fixture


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "good_T2.nii.gz")
    (tmp_path / "in" / "bad_T2.nii.gz").write_bytes(b"")
    return tmp_path / "in", tmp_path / "out", tmp_path / "report"


def rows(report):
    with (report / "report.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_every_case_has_a_row_and_every_result_a_picture(folders, weights):  # noqa: F811
    source, output, report = folders

    done = predict(source, output, weights, "--report", report)

    assert done.returncode == 1  # one of the two is not a scan
    assert sorted(file.name for file in report.iterdir()) == [
        "cases",
        "good.png",
        "index.html",
        "report.csv",
        "report.json",
    ]
    found = rows(report)
    assert found["good"]["status"] == "done"
    assert found["good"]["cochleas"] == "2"
    assert float(found["good"]["cochleas_apart_mm"]) == pytest.approx(70, abs=2)
    assert 0.5 < float(found["good"]["mean_confidence"]) <= 1
    assert found["good"]["engine"].startswith("OpenVINO CPU")
    assert "not for clinical use" in found["good"]["notice"]
    for stage in ("read", "prepare", "network", "restore", "clean", "write"):
        assert float(found["good"][f"{stage}_s"]) >= 0
    assert float(found["good"]["peak_mib"]) > 50
    assert found["bad"]["status"] == "failed"
    assert "0 bytes" in found["bad"]["error"]
    assert str(source) not in (report / "report.json").read_text()


def test_a_resumed_run_keeps_the_rows_of_the_first(folders, weights):  # noqa: F811
    source, output, report = folders
    predict(source, output, weights, "--report", report)
    (source / "bad_T2.nii.gz").unlink()
    save_scan(source / "late_T2.nii.gz")

    done = predict(source, output, weights, "--report", report, "--resume")

    assert done.returncode == 0
    assert {case: row["status"] for case, row in rows(report).items()} == {
        "good": "done",
        "bad": "failed",
        "late": "done",
    }


def test_a_report_that_cannot_be_written_stops_the_run_before_it_starts(folders, weights):  # noqa: F811
    source, output, report = folders
    report.write_text("a file, not a folder")

    done = predict(source, output, weights, "--report", report)

    assert done.returncode == 2
    assert "report" in done.stderr


def test_a_damaged_earlier_report_is_named(folders, weights):  # noqa: F811
    source, output, report = folders
    report.mkdir()
    (report / "report.json").write_text("{")

    done = predict(source, output, weights, "--report", report, "--resume")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "report.json" in line


def test_a_picture_that_cannot_be_drawn_is_told_and_the_labels_stay(folders, weights):  # noqa: F811
    source, output, report = folders
    (source / "bad_T2.nii.gz").unlink()
    (report / "good.png").mkdir(parents=True)

    done = predict(source, output, weights, "--report", report)

    assert done.returncode == 1
    assert "labelled, but not reported" in done.stderr
    assert (output / "good.nii.gz").exists()
    assert json.loads((report / "report.json").read_text())["cases"][0]["case"] == "good"
