"""What a run says: a line a case, a table of what to look at, JSON for programs, or nothing."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from meatus.report.measure import Measures, Volumes
from meatus.report.phrases import found_line, short_flag
from meatus.spec import Spec
from tests.meatus.onnx_files import tiny_spec
from tests.meatus.tiny_runs import ROOT, run_here, save_scan, write_weights

NONE = Volumes()
LEFT = Volumes(310.0, 50.0, 360.0, 90.0)
FOUND = Measures(LEFT, NONE, LEFT, "left", 9.0, 2, 60.0, 5.0, (), (0.5, 0.5, 1.5), 24)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    save_scan(folder / "etz_1_T2.nii.gz")
    (folder / "b_T2.nii.gz").write_bytes(b"")
    return folder


def predict(scans, out, weights, *more):
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast", *more)
    return run_here("predict", scans, out, *options)


def test_a_case_is_told_in_a_line():
    flagged = replace(FOUND, flags=("uncertain outline: expected Dice 0.70, usual is 0.85",))
    small = replace(FOUND, right=replace(LEFT, extra_meatal_mm3=3.0))

    assert found_line(flagged) == "VS left 0.31 + 0.05 cm3, cochleae 2, check: uncertain outline"
    assert found_line(small) == "VS right 0.003 + 0.05, left 0.31 + 0.05 cm3, cochleae 2"
    assert found_line(replace(FOUND, left=NONE)) == "no VS, cochleae 2"
    assert short_flag("no tumour found, yet 30 mm3 may be some") == "no tumour found"


def test_a_run_ends_with_a_table_of_what_to_look_at(tmp_path, scans, weights):
    done = predict(scans, tmp_path / "out", weights)

    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert f"weights: {weights} (tiny), trained on nothing" in lines
    table = next(
        number for number, line in enumerate(lines) if line.split() == ["look", "at", "why"]
    )
    assert lines[table - 1].startswith("[2/2] etz_1  no VS, cochleae 2, check: no tumour found  ")
    assert lines[table + 1].startswith("b        failed:")
    assert lines[-2].startswith("etz_1    no tumour found, yet ")
    assert lines[-1] == "1 of 2 cases done, 1 failed"


def test_programs_get_an_object_a_line(tmp_path, scans, weights):
    done = predict(scans, tmp_path / "out", weights, "--log-json", "--anonymous-log")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    failed, labelled = (event for event in events if event["event"] == "case")
    assert (failed["case"], failed["status"]) == ("case 1", "failed")
    assert labelled["volumes"]["left"]["cochlea_mm3"] > 0
    assert (labelled["number"], labelled["of"], labelled["cochleas"]) == (2, 2, 2)
    assert events[-1]["event"] == "end"
    assert set(events[-1]["check"]) == {"case 1", "case 2"}
    assert "etz_1" not in done.stdout + done.stderr
    assert str(tmp_path) not in done.stdout + done.stderr


def test_a_run_that_cannot_start_tells_programs_too(tmp_path, weights):
    done = predict(tmp_path / "none", tmp_path / "out", weights, "--log-json")

    (event,) = map(json.loads, done.stdout.splitlines())
    assert done.exit_code == 2
    assert event["event"] == "error"
    assert done.stderr == f"error: {event['text']}\n"


def test_quiet_leaves_errors_alone(tmp_path, scans, weights):
    done = predict(scans, tmp_path / "out", weights, "--quiet")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: b: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [("--quiet", "--log-json"), ("--pdf",)])
def test_options_that_do_not_fit_together_end_in_one_line(tmp_path, scans, weights, options):
    done = predict(scans, tmp_path / "out", weights, *options)

    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_origins_are_short_and_hide_no_real_scan():
    def origin(text, *history):
        spec: Spec = tiny_spec(trained_on=text, history=history)
        return spec.origin

    drawn = "windows of phantoms, no real scan; not for clinical use"
    assert origin(drawn, "a: other windows") == "windows of phantoms, no real scan"
    assert origin("12 scans; not for clinical use", "b: 9 scans", "c: 8") == (
        "12 scans, fine-tuned from b"
    )
    assert origin("nothing") == "nothing"


def test_help_loads_neither_what_draws_nor_what_writes_pages():
    code = (
        "import sys; from click.testing import CliRunner; from meatus.cli import main\n"
        "assert CliRunner().invoke(main, ['predict', '--help']).exit_code == 0\n"
        "sys.exit(bool({'matplotlib', 'jinja2', 'torch', 'pydicom'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
