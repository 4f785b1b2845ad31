import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.io.images import read_scan
from meatus.pipeline import load_model
from meatus_evaluation.benchmark import budget
from meatus_evaluation.benchmark.budget import (
    Batch,
    Budgets,
    Command,
    StageTimes,
    Usage,
    check_budgets,
    is_broken,
    run_batch,
    time_stages,
)
from meatus_evaluation.benchmark.memory import MIB, TreeMeter, open_gpu_meter
from tests.meatus.tiny_runs import save_scan, write_weights
from tests.meatus_evaluation.label_maps import ends_in_one_line, run, save

NO_GPU = Usage(
    cases=2, warm_up_s=60.0, seconds=20.0, rss_mib=800.0, gpu_mib=None, gpu_note="no GPU here"
)
MOMENT = "import time; time.sleep(0.3)"


@pytest.fixture
def scans(tmp_path):
    for case in "ab":
        save(tmp_path / "scans" / f"{case}_T2.nii.gz")
    return tmp_path / "scans"


@pytest.fixture
def batch(monkeypatch):
    """Labelling becomes ``code``; what it was started with is kept."""
    started = []

    def make(code):
        def process(batch, source, out):
            files = (source,) if source.is_file() else sorted(source.iterdir())
            started.append((batch, [file.name for file in files]))
            return Command([sys.executable, "-c", code])

        monkeypatch.setattr(budget, "_process", process)
        return started

    return make


def lines_of(done_json):
    return {line["name"]: line for line in json.loads(done_json.read_text())["lines"]}


def test_seconds_are_per_case_and_the_warm_up_is_apart():
    lines = {line.name: line for line in check_budgets(NO_GPU, Budgets(seconds=9.9))}

    assert (lines["per case, s"].measured, lines["per case, s"].verdict) == (10.0, "broken")
    assert lines["warm-up, s"].verdict == "no budget"
    assert "2 cases" in lines["per case, s"].note


def test_the_papers_numbers_are_the_defaults():
    assert (Budgets().seconds, Budgets().gpu_mib, Budgets().rss_mib) == (27, 5413, None)


def test_without_a_gpu_its_budget_is_not_measured_unless_one_is_required():
    plain = check_budgets(NO_GPU, Budgets())
    required = check_budgets(NO_GPU, Budgets(), require_gpu=True)

    assert (plain[-1].verdict, plain[-1].note) == ("not measured", "no GPU here")
    assert not is_broken(plain)
    assert required[-1].verdict == "broken"


def test_resident_memory_on_the_budget_keeps_it_and_above_breaks_it():
    assert check_budgets(NO_GPU, Budgets(rss_mib=800.0))[2].verdict == "kept"
    assert check_budgets(NO_GPU, Budgets(rss_mib=799.9))[2].verdict == "broken"


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


def test_a_broken_budget_ends_with_1_and_names_it(scans, batch):
    batch(MOMENT)

    done = run("budget", scans, "--max-seconds", 0.01, "--max-rss-mib", 1)

    names = "over budget: per case, s, peak resident memory, MiB"
    assert ends_in_one_line(done, 1, names)
    assert "broken" in done.stdout


def test_memory_of_the_jobs_children_counts_too(scans, batch, tmp_path):
    """A child with 200 MB beside a parent that waits for it."""
    child = "x = bytearray(b'1' * 200_000_000); import time; time.sleep(0.5)"
    batch(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")

    run("budget", scans, "--json", tmp_path / "b.json")

    assert 190 < lines_of(tmp_path / "b.json")["peak resident memory, MiB"]["measured"] < 600


def test_a_peak_between_two_looks_is_seen():
    """The kernel keeps a process's high-water mark: here of memory that was given back."""
    meter = TreeMeter()
    meter.sample(os.getpid())
    before = meter.peak_mib
    block = np.ones(int(before + 150) * MIB, dtype=np.uint8)
    del block
    meter.sample(os.getpid())

    assert meter.peak_mib > before + 140


def test_a_process_that_is_gone_is_no_error():
    meter = TreeMeter()
    assert meter.sample(2**22 + 1) == []
    assert meter.peak_mib is None


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
else:
    with open({log!r} + ".pid", "w") as pid:
        pid.write(str(os.getpid()))
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


class Nvml:
    """NVIDIA's library with one device; ``used`` and ``own`` are MiB at each look."""

    class NVMLError(Exception):
        pass

    def __init__(self, used, own=(), there=True):
        self.used, self.own, self.there, self.closed = iter(used), iter(own), there, False

    def nvmlInit(self):  # noqa: N802
        if not self.there:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):  # noqa: N802
        self.closed = True

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, device):  # noqa: N802
        value = next(self.used)
        if value is None:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=value * MIB)

    def nvmlDeviceGetComputeRunningProcesses(self, device):  # noqa: N802
        rows = next(self.own, {})
        return [SimpleNamespace(pid=pid, usedGpuMemory=mib * MIB) for pid, mib in rows.items()]


def test_gpu_memory_is_the_peak_of_the_jobs_own_processes():
    nvml = Nvml([100, 700, 400], [{7: 500, 9: 50}, {7: 200}])
    with open_gpu_meter(nvml) as meter:
        for _ in range(2):
            meter.sample([7, 8])

    assert (meter.peak_mib, meter.note) == (500, "of its processes, by NVML")
    assert nvml.closed


def test_where_the_driver_does_not_know_the_job_the_rise_counts():
    with open_gpu_meter(Nvml([100, 700, 400])) as meter:
        for _ in range(2):
            meter.sample([7])

    assert meter.peak_mib == 600
    assert "before" in meter.note


def test_a_machine_without_a_gpu_is_told():
    with open_gpu_meter(Nvml([], there=False)) as meter:
        meter.sample([7])

    assert (meter.peak_mib, meter.note) == (None, "no GPU here (Driver Not Loaded)")


def test_a_gpu_that_stops_to_answer_is_told():
    with open_gpu_meter(Nvml([100, None])) as meter:
        meter.sample([7])
        meter.sample([7])

    assert meter.peak_mib is None
    assert "GPU is lost" in meter.note


def test_a_missing_library_is_told(monkeypatch):
    monkeypatch.setattr("meatus_evaluation.benchmark.memory._library", lambda: None)
    with open_gpu_meter() as meter:
        assert (meter.peak_mib, meter.note) == (None, "nvidia-ml-py is not installed")


def test_the_main_job_itself_is_measured(tmp_path):
    """Once, with the shipped weights, in the quickest quality."""
    grid = Geometry((32, 32, 4), (0.8, 0.8, 2.0), (0, 0, 0))
    boxes = {label: np.s_[:, 4 * label, 4:28] for label in range(1, 8)}
    scan = save(tmp_path / "a_T2.nii.gz", boxes, grid)
    meter = TreeMeter()

    with open_gpu_meter() as gpu:
        seconds = run_batch(
            Batch(options=("--device", "cpu", "--quality", "fast")), scan, meter, gpu
        )

    assert seconds > 0.1
    assert 100 < meter.peak_mib < 4000


def test_all_stages_from_file_to_file_are_timed(tmp_path):
    (tmp_path / "weights").mkdir()
    model = load_model(write_weights(tmp_path / "weights"), device="cpu")
    scan = save_scan(tmp_path / "a_T2.nii.gz")

    times = time_stages(scan, model, 1)

    assert {"read", "network", "write"} <= times.seconds.keys()
    assert read_scan(scan).voxels.size
    assert times.total > 0


def test_all_but_the_network_is_the_rest():
    times = StageTimes({"read": 1.0, "network": 5.0, "write": 0.5}, None)

    assert (times.total, times.other) == (6.5, 1.5)
