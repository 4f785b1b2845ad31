"""Hundreds of cases in one run: memory stays flat."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.meatus.onnx_files import tiny_spec, write_network
from tests.meatus.scan_files import GREY, save

ROOT = Path(__file__).resolve().parents[2]
CASES, SETTLED = 500, 50
MOST_GROWTH_KB = 4096  # if every case left its scan behind, 30,000

RUN = f"""
import gc, os, resource, sys
from pathlib import Path

import numpy as np

from meatus.service.cases import Case
from meatus.io.images import write_labels
from meatus.service.batch import attempts
from meatus.volumes import Labels, Segmented

folder, kind = Path(sys.argv[1]), sys.argv[2]


def resident_kb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


if kind == "network":
    from meatus.pipeline import load_model, segment

    model = load_model(folder / "tiny.onnx", device="cpu", quality="fast", threads=1)
    work, release = lambda scan: segment(scan, model), model.release
else:
    def work(scan):
        voxels = (scan.voxels > 450).astype(np.uint8)
        return Segmented(Labels(voxels, scan.geometry, scan.header))

    release = lambda: None

scans = [folder / name for name in ("scan.nii.gz", "scan.nii", "cut.nii.gz")]
cases = [Case(str(n), scans[n % 3], folder / f"{{n % 7}}.nii.gz") for n in range({CASES})]
number = failed = settled = 0


def tell(outcome):
    global number, failed, settled
    number += 1
    failed += outcome.error is not None
    if number == {SETTLED}:
        settled = resident_kb()


def write(case, found):
    write_labels(found.labels, case.result)


for attempt in attempts(cases, write, "fail", tell):
    with attempt.failing_alone():
        attempt.keep(work(attempt.read()))
    release()
print(resident_kb() - settled, number, failed)
"""


@pytest.mark.parametrize("kind", ["threshold", "network"])
def test_five_hundred_cases_take_no_more_memory_than_fifty(tmp_path, kind):
    for name in ("scan.nii.gz", "scan.nii"):
        save(tmp_path / name, np.tile(GREY, (3, 3, 1)))
    whole = (tmp_path / "scan.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[:2000])
    write_network(tmp_path / "tiny.onnx", tiny_spec())

    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), kind],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    growth_kb, cases, failed = map(int, done.stdout.split())
    assert (cases, failed) == (CASES, CASES // 3)
    assert growth_kb < MOST_GROWTH_KB
