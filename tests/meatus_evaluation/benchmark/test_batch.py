import json
import sys

import numpy as np

from meatus.geometry import Geometry
from meatus_evaluation.benchmark.batch import Batch, run_batch
from meatus_evaluation.benchmark.memory import TreeMeter, open_gpu_meter
from tests.meatus_evaluation.label_maps import ends_in_one_line, run, save

MOMENT = "import time; time.sleep(0.3)"


def lines_of(done_json):
    return {line["name"]: line for line in json.loads(done_json.read_text())["lines"]}


def test_the_batch_warms_up_on_one_case_then_runs_on_all(scans, batch, tmp_path):
    started = batch(MOMENT)

    done = run("budget", scans, "--json", tmp_path / "b.json", "--", "--device", "cpu")

    assert (done.exit_code, done.stderr) == (0, "")
    assert [files for _, files in started] == [["a_T2.nii.gz"], ["a_T2.nii.gz", "b_T2.nii.gz"]]
    assert started[0][0].options == ("--device", "cpu")
    numbers = json.loads((tmp_path / "b.json").read_text())
    assert (numbers["cases"], numbers["seconds"] > 0.3) == (2, True)
    for words in ("per case, s", "peak resident memory", "peak GPU memory"):
        assert words in done.stdout


def test_memory_of_the_jobs_children_counts_too(scans, batch, tmp_path):
    """A child with 200 MB beside a parent that waits for it."""
    child = "x = bytearray(b'1' * 200_000_000); import time; time.sleep(0.5)"
    batch(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")

    run("budget", scans, "--json", tmp_path / "b.json")

    assert 190 < lines_of(tmp_path / "b.json")["peak resident memory, MiB"]["measured"] < 600


def test_a_batch_that_fails_ends_with_1_and_its_own_last_line(scans, batch):
    batch("import sys; print('error: a: the scan is odd', file=sys.stderr); sys.exit(1)")
    assert ends_in_one_line(run("budget", scans), 1, "exit code 1: a: the scan is odd")


def test_a_batch_that_could_not_start_ends_with_2(scans, batch):
    batch("import sys; sys.exit('error: no weights') if 0 else sys.exit(2)")
    assert ends_in_one_line(run("budget", scans), 2, "exit code 2: it said nothing")


def test_an_input_without_scans_ends_with_2(tmp_path):
    (tmp_path / "empty").mkdir()

    assert ends_in_one_line(run("budget", tmp_path / "empty"), 2, "holds no scan")
    assert ends_in_one_line(run("budget", tmp_path / "none"), 2, "does not exist")


DOCKER = """#!{python}
import json, os, sys, time
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1] == "inspect":
    print(open({log!r} + ".pid").read())
    open({log!r} + ".asked", "w").close()
else:
    with open({log!r} + ".pid", "w") as pid:
        pid.write(str(os.getpid()))
    while not os.path.exists({log!r} + ".asked"):  # a container is looked at while it runs
        time.sleep(0.05)
    time.sleep(0.4)
"""


def test_an_image_is_run_as_the_challenge_runs_it(scans, tmp_path, monkeypatch):
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER.format(python=sys.executable, log=str(log)))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    done = run("budget", scans, "--image", "meatus:cpu", "--json", tmp_path / "b.json")

    assert done.exit_code == 0, done.output
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    last = [call for call in calls if call[0] == "run"][-1]
    assert last[1:2] == ["--rm"]
    assert f"{scans}:/input:ro" in last
    assert last[last.index("--network") + 1] == "none"
    assert last[-4:] == ["meatus:cpu", "predict", "/input", "/output"]
    assert lines_of(tmp_path / "b.json")["peak resident memory, MiB"]["measured"] > 1


def test_an_image_needs_a_tool_that_runs_images(scans, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("budget", scans, "--image", "meatus")
    assert ends_in_one_line(done, 2, "neither is installed")


def test_the_main_job_itself_is_measured(tmp_path):
    """Once, with the shipped weights, in the quickest quality."""
    grid = Geometry((32, 32, 4), (0.8, 0.8, 2.0), (0, 0, 0))
    boxes = {label: np.s_[:, 4 * label, 4:28] for label in range(1, 8)}
    scan = save(tmp_path / "a_T2.nii.gz", boxes, grid)
    meter = TreeMeter()

    with open_gpu_meter() as gpu:
        seconds = run_batch(
            Batch(options=("--device", "cpu", "--quality", "fast")), scan, tmp_path, meter, gpu
        )

    assert seconds > 0.1
    assert 100 < meter.peak_mib < 4000
