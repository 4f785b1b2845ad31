"""The job array of docs/cluster.md on a Slurm node."""

import csv
import re
import subprocess
import sys
from pathlib import Path

from tests.meatus.cluster.slurm import slurm
from tests.meatus.tiny_runs import ROOT, run_here, save_scan, write_weights

PAGE = (ROOT / "docs" / "cluster.md").read_text()


def script(name):
    """The block of the page that begins with ``# name``."""
    return re.search(rf"```sh\n(#!/bin/bash\n# {re.escape(name)}\n.*?)```", PAGE, re.DOTALL)[1]


def test_a_job_array_labels_every_scan_once(tmp_path):
    with slurm(tmp_path) as environment:
        weights = write_weights(tmp_path)
        (tmp_path / "in").mkdir()
        for name in "abc":
            save_scan(tmp_path / "in" / f"{name}_T2.nii.gz")
        job = tmp_path / "array.sh"
        text = script("array.sh").replace("--array=1-16", "--array=1-2")
        text = re.sub(r"#SBATCH --(mem|cpus-per-task|time)=.*\n", "", text)
        job.write_text(text)
        arguments = {
            "INPUT": tmp_path / "in", "OUTPUT": tmp_path / "out", "REPORT": tmp_path / "report",
            "MEATUS_WEIGHTS": weights, "MEATUS_DEVICE": "cpu",
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        }  # fmt: skip

        done = subprocess.run(
            ["sbatch", "--wait", f"--output={tmp_path}/%A_%a.log", str(job)],
            cwd=ROOT, env=environment | {name: str(one) for name, one in arguments.items()},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

        logs = "".join(file.read_text() for file in sorted(tmp_path.glob("*_*.log")))
        assert done.returncode == 0, done.stderr + logs
    assert "part: 1 of 2 (task 1 of Slurm's array" in logs
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "a.nii.gz", "b.nii.gz", "c.nii.gz",
    ]  # fmt: skip
    merged = run_here(
        "report", "merge", tmp_path / "report" / "1", tmp_path / "report" / "2", tmp_path / "all"
    )
    assert merged.exit_code == 0, merged.output
    with (tmp_path / "all" / "report.csv").open() as file:
        assert [row["case"] for row in csv.DictReader(file)] == ["a", "b", "c"]
