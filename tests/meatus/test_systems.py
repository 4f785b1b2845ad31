"""What other systems lack, taken away here: the program runs without."""

import subprocess
import sys

import nibabel as nib

from tests.meatus.tiny_runs import save_scan, write_weights

# As on Windows and macOS: no such modules, no such names. Those that the standard library itself
# was built with come back once ours has been imported.
LACKING = """
import os, sys
import concurrent.futures, subprocess, tempfile
sys.modules["fcntl"] = sys.modules["resource"] = None
kept = {name: getattr(os, name) for name in ("sched_getaffinity", "O_NONBLOCK", "O_CLOEXEC")}
for name in kept:
    delattr(os, name)
import meatus.timing
from meatus.cli import main
from meatus.engines import usable_threads
meatus.timing.STATUS = meatus.timing.Path("none")
assert usable_threads() >= 1
vars(os).update(kept)
main(sys.argv[1:])
"""


def test_a_scan_is_labelled_without_what_linux_alone_has(tmp_path):
    weights = write_weights(tmp_path)
    save_scan(tmp_path / "a_T2.nii.gz")
    scan, out = tmp_path / "a_T2.nii.gz", tmp_path / "out"
    arguments = ["predict", scan, out, "--weights", weights, "--report", tmp_path / "report"]

    done = subprocess.run(
        [sys.executable, "-c", LACKING, *map(str, arguments)], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert nib.load(out / "a.nii.gz").shape == nib.load(scan).shape
    assert [path.name for path in out.iterdir()] == ["a.nii.gz"]
    assert "a,done," in (tmp_path / "report" / "report.csv").read_text()
