"""The commands as a user runs them, with a network of four numbers."""

import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.errors import UsageError
from meatus.service.cases import case_name, find_cases
from tests.meatus.tiny_runs import ROOT, SPEC, command, run, run_here, save_scan, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def predict(source, output, weights, *more):
    return run("predict", source, output, "--weights", weights, "--device", "cpu", *more)


def test_every_scan_of_a_folder_gets_its_label_map(tmp_path, weights):
    (tmp_path / "in").mkdir()
    for name in ("crossmoda2023_ldn_1_T2.nii.gz", "b_hrT2.nii", "c_0000.nii.gz"):
        save_scan(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a scan")

    done = predict(tmp_path / "in", tmp_path / "out", weights)

    assert (done.returncode, done.stderr) == (0, "")
    results = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert results == ["b.nii.gz", "c.nii.gz", "crossmoda2023_ldn_1.nii.gz"]
    labels = nib.load(tmp_path / "out" / "b.nii.gz")
    assert labels.get_data_dtype() == np.uint8
    assert labels.get_fdata()[25, 60, 6] == 3
    assert labels.get_fdata()[60, 60, 6] == 0
    assert "not for clinical use" in done.stdout
    assert "quality: standard, 2 member(s) x 2 flip(s)" in done.stdout
    assert "3 of 3 cases done" in done.stdout


def test_a_bad_scan_is_named_and_the_others_go_on(tmp_path, weights):
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "good_T2.nii.gz")
    (tmp_path / "in" / "bad_T2.nii.gz").write_bytes(b"")

    done = predict(tmp_path / "in", tmp_path / "out", weights, "--quality", "fast")

    assert done.returncode == 1
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["good.nii.gz"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: bad: ")
    assert "bad_T2.nii.gz" in line


def test_a_scan_that_shows_no_head_is_named_by_its_file(tmp_path, weights):
    scan = tmp_path / "black_T2.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((96, 96, 12), np.int16), np.diag([1, 1, 1.5, 1])), scan)

    done = predict(scan, tmp_path / "out", weights)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{scan}: the scan has one grey value nearly everywhere" in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_case_gets_an_empty_map_where_the_submission_must_be_complete(tmp_path, weights):
    (tmp_path / "in").mkdir()
    scan = save_scan(tmp_path / "in" / "cut_T2.nii.gz")
    scan.write_bytes(scan.read_bytes()[:2000])

    done = predict(tmp_path / "in", tmp_path / "out", weights, "--on-error", "empty")

    assert done.returncode == 1
    empty = nib.load(tmp_path / "out" / "cut.nii.gz")
    assert empty.shape == (120, 120, 12)
    assert empty.get_fdata().max() == 0


def test_what_looks_like_a_scan_but_is_no_file_is_told(tmp_path, weights):
    source = tmp_path / "in"
    source.mkdir()
    (source / "loop_T2.nii.gz").symlink_to(source / "loop_T2.nii.gz")
    (source / "nowhere_T2.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (source / "folder_T2.nii.gz").mkdir()
    os.mkfifo(source / "pipe_T2.nii.gz")

    done = predict(source, tmp_path / "out", weights)

    assert done.returncode == 1
    told = [line.split(": ")[1] for line in done.stderr.splitlines()]
    assert told == ["folder", "loop", "nowhere", "pipe"]


def test_a_single_file_is_an_input(tmp_path, weights):
    scan = save_scan(tmp_path / "one.nii.gz")

    done = predict(scan, tmp_path / "out", weights, "--fusion", "vote")

    assert (done.returncode, done.stderr) == (0, "")
    assert "8 flip(s), fused by vote" in done.stdout
    assert (tmp_path / "out" / "one.nii.gz").exists()


def test_votes_of_flips_that_weights_have_not_learnt_are_told(tmp_path):
    scan = save_scan(tmp_path / "one.nii.gz")
    of_two_sides = write_weights(tmp_path, replace(SPEC, flips="left-right"))

    votes = predict(scan, tmp_path / "votes", of_two_sides, "--fusion", "vote")
    mean = predict(scan, tmp_path / "mean", of_two_sides, "--quality", "full")

    told = "take care: votes need eight flips, of which these weights have learnt left-right alone"
    assert votes.stdout.count(told) == 1
    assert told not in mean.stdout
    assert "x 2 flip(s)" in mean.stdout


def test_the_same_case_gives_the_same_bytes_twice(tmp_path, weights):
    scan = save_scan(tmp_path / "one.nii.gz")
    for folder in ("first", "second"):
        assert predict(scan, tmp_path / folder, weights).returncode == 0

    first, second = ((tmp_path / f / "one.nii.gz").read_bytes() for f in ("first", "second"))
    assert first == second


def test_a_killed_run_leaves_whole_results_and_resumes(tmp_path, weights):
    (tmp_path / "in").mkdir()
    for number in range(12):
        save_scan(tmp_path / "in" / f"case{number:02d}_T2.nii.gz", seed=number)
    arguments = ("predict", tmp_path / "in", tmp_path / "out", "--weights", weights)
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list((tmp_path / "out").glob("case*.nii.gz")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("case*.nii.gz")}
    assert 0 < len(left) < 12

    done = run(*arguments, "--resume")

    assert done.returncode == 0
    assert f"cases: 12, {len(left)} already done" in done.stdout
    assert {file: file.stat().st_mtime_ns for file in left} == left
    for number in range(12):
        assert nib.load(tmp_path / "out" / f"case{number:02d}.nii.gz").get_fdata().max() == 3


WRONG = {
    "no input": ("missing", "out", (), "does not exist"),
    "a pipe": ("pipe", "out", (), "pipe"),
    "empty folder": ("empty", "out", (), "holds no scan"),
    "no weights": ("scans", "out", ("--weights", "missing"), "missing"),
    "no such device": ("scans", "out", ("--device", "cuda"), "CUDA|NVIDIA|cuda"),
    "output is the scan": ("scans", "scans/a_T2.nii.gz", (), "is read, and would be replaced"),
    "output below a file": ("scans", "scans/a_T2.nii.gz/out", (), "cannot be written"),
    "several scans, one file": ("pair", "out/seg.nii.gz", (), "2 scans"),
    "output is a folder named as a file": ("scans", "folder.nii.gz", (), "is a folder"),
    "a format that is not written": ("scans", "out/seg.mgz", (), "no result is written"),
    "one file of two kinds": ("scans", "a.mha", ("--output", "dicom-seg"), "writes no such file"),
    "all left out by name": ("others", "out", (), "a_T1w.nii.gz"),
    "two scans, one result": ("twins", "out", (), "would both write"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_ends_in_one_line_and_exit_code_two(tmp_path, weights, name):
    source, output, more, reason = WRONG[name]
    for folder in ("empty", "scans", "twins", "pair", "others"):
        (tmp_path / folder).mkdir()
    save_scan(tmp_path / "scans" / "a_T2.nii.gz")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.nii.gz").mkdir()
    for file in (
        "twins/a_T2.nii.gz",
        "twins/a_0000.nii.gz",
        "pair/a_T2.nii.gz",
        "pair/b_T2.nii.gz",
    ):
        save_scan(tmp_path / file)
    save_scan(tmp_path / "others" / "a_T1w.nii.gz")
    default = () if "--weights" in more else ("--weights", weights)

    done = run("predict", tmp_path / source, tmp_path / output, *default, *more)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert any(part in line for part in reason.split("|"))


def test_a_wrong_option_exits_with_two(tmp_path):
    assert run("predict", tmp_path, tmp_path, "--quality", "best").returncode == 2


def test_info_names_version_engines_and_weights(weights):
    done = run("info", "--weights", weights)

    assert (done.returncode, done.stderr) == (0, "")
    assert "meatus 0." in done.stdout
    assert "OpenVINO CPU" in done.stdout
    assert "ONNX Runtime CUDA" in done.stdout
    assert "weights a.onnx: SHA-256 as in the manifest" in done.stdout
    assert "trained on nothing" in done.stdout


NAMES = {
    "crossmoda2023_etz_7_T2.nii.gz": "crossmoda2023_etz_7",
    "crossmoda2021_ldn_7_hrT2.nii.gz": "crossmoda2021_ldn_7",
    "VS_001_0000.nii.gz": "VS_001",
    "plain.mha": "plain",
    "a.b_T2.nrrd": "a.b",
    "T2.nii": "T2",
    "readme.txt": None,
    "crossmoda2023_ldn_1_Label.nii.gz": None,
    "crossmoda2023_ldn_1_ceT1.nii.gz": None,
    "sub-01_ses-2_T2w.nii.gz": "sub-01_ses-2",
    "a_t1W.nii.gz": None,
    "a-FLAIR.mha": None,
    "a_T2_seg.nii.gz": None,
    "a.seg.nrrd": None,
    "mask.nii": None,
    "a_dseg.nii.gz": None,
    "case_0012.nii.gz": "case_0012",
    "exact.nii.gz": "exact",
    ".nii.gz": None,
}


@pytest.mark.parametrize("file", NAMES)
def test_a_case_is_named_after_its_file(file):
    assert case_name(Path(file)) == NAMES[file]


def test_hidden_files_are_no_cases(tmp_path):
    (tmp_path / ".12.part.a.nii.gz").write_bytes(b"")
    with pytest.raises(UsageError, match="no scan"):
        find_cases(tmp_path, tmp_path)


def test_inference_never_imports_torch():
    code = "import meatus.cli, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_four_calls_lead_from_the_command_to_the_network(tmp_path, weights, monkeypatch):
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "a_T2.nii.gz")
    inner, ways = OpenVinoEngine.__call__, []

    def called(engine, window):
        names = [frame.name for frame in traceback.extract_stack() if "meatus" in frame.filename]
        ways.append([*names[names.index("predict") : names.index("called")], "OpenVinoEngine"])
        return inner(engine, window)

    monkeypatch.setattr(OpenVinoEngine, "__call__", called)

    done = run_here("predict", tmp_path / "in", tmp_path / "out", "--weights", weights)

    assert done.exit_code == 0
    assert ways[0] == ["predict", "run", "segment", "predict", "OpenVinoEngine"]
