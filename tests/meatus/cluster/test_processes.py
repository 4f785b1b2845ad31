"""Cases shared by processes: the same results, and a process that is killed costs only its case."""

import os

import nibabel as nib
import numpy as np
import pytest

from meatus.cluster import spread
from meatus.cluster.processes import in_processes
from tests.meatus.cluster.deadly import die_by_name
from tests.meatus.tiny_runs import run, run_here, save_scan, write_weights


@pytest.mark.parametrize(("deadly", "survives"), [("once", True), ("always", False)])
def test_a_killed_process_costs_no_job_but_one_that_kills_it_again(tmp_path, deadly, survives):
    jobs = [(name, str(tmp_path)) for name in ("a", deadly, "b", "c")]

    results = dict(in_processes(die_by_name, jobs, 2))

    told = [results[job] and results[job][0] for job in jobs]
    assert told == ["a", deadly if survives else None, "b", "c"]
    assert os.getpid() not in {result[1] for result in results.values() if result}


def test_processes_leave_what_one_leaves(tmp_path):
    weights = write_weights(tmp_path)
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abc"):
        save_scan(tmp_path / "in" / f"{name}_T2.nii.gz", seed)
    (tmp_path / "in" / "d_T2.nii.gz").write_bytes(b"no scan")
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast")

    one = run("predict", tmp_path / "in", tmp_path / "one", *options)
    two = run(
        "predict", tmp_path / "in", tmp_path / "two", *options, "--jobs", "2",
        "--report", tmp_path / "report",
    )  # fmt: skip

    assert (one.returncode, two.returncode) == (1, 1), two.stderr
    assert two.stderr == one.stderr  # the case that failed, in the same words
    names = ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == names
    for name in names:
        np.testing.assert_array_equal(
            *(nib.load(tmp_path / run / name).get_fdata() for run in ("one", "two"))
        )
    table = (tmp_path / "report" / "report.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in table[1:]] == [
        ["a", "done"], ["b", "done"], ["c", "done"], ["d", "failed"],
    ]  # fmt: skip


def test_no_more_processes_start_than_there_are_processors(tmp_path, monkeypatch):
    weights = write_weights(tmp_path)
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    monkeypatch.setattr(spread, "usable_threads", lambda: 1)

    done = run_here(
        "predict", scan, tmp_path / "out", "--weights", weights, "--device", "cpu", "--jobs", "9"
    )

    assert done.exit_code == 0
    assert "processes: 1, as many as there are processors, not 9; 1 thread(s) each" in done.output


def test_a_model_that_no_process_can_load_ends_the_run_in_one_line(tmp_path):
    save_scan(tmp_path / "a_T2.nii.gz")
    (tmp_path / "broken.onnx").write_bytes(b"no network")

    done = run(
        "predict", tmp_path / "a_T2.nii.gz", tmp_path / "out", "--weights",
        tmp_path / "broken.onnx", "--jobs", "2",
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "broken.onnx" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_processes_and_a_cluster_are_one_too_many(tmp_path):
    scan = save_scan(tmp_path / "a_T2.nii.gz")

    done = run("predict", scan, tmp_path / "out", "--jobs", "2", "--cluster", "local:2")

    assert done.returncode == 2
    assert done.stderr == "error: --jobs and --cluster both share out the cases; choose one.\n"
