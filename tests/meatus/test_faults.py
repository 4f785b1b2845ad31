"""What is left when a run is killed, starved or disturbed, and how the next one goes on."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import meatus.service.labelling
from meatus.errors import DeviceError
from tests.meatus.stopped_run import STAGES
from tests.meatus.tiny_runs import ROOT, command, run, run_here, save_scan, write_weights

CASES = [f"case{number}" for number in range(1, 6)]
RESULTS = [f"{case}.nii.gz" for case in CASES]


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
    """The five results, as bytes, of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert run_here(*predict(scans, out, weights)).exit_code == 0
    return contents(out)


def predict(source, output, weights, *more):
    common = ("--weights", weights, "--device", "cpu", "--quality", "fast", "--threads", "1")
    return ("predict", source, output, *common, *more)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def contents_of_results(folder):
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


@contextmanager
def watched(folder):
    """All that ever lay in ``folder`` under a final name: (name, bytes) pairs."""
    seen, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            for path in folder.glob("[!.]*"):
                seen.add((path.name, path.read_bytes()))
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def stop(stage, with_signal, ready, *arguments, only_one=False):
    """Run until ``stage`` is reached, then send the signal; exit code and stderr.

    With ``only_one`` it goes to the process that is at the stage, which may be one of ``--jobs``.
    What the last of them has ended is known by then: stderr is at its end.
    """
    held = [sys.executable, "-m", "tests.meatus.stopped_run", stage, str(ready)]
    process = subprocess.Popen(
        [*held, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not ready.exists() or not ready.read_text():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        os.kill(int(ready.read_text()) if only_one else process.pid, with_signal)
        _, errors = process.communicate(timeout=300 if only_one else 20)
        return process.returncode, errors
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_any_stage_leaves_whole_results_and_resumes(
    tmp_path, scans, weights, undisturbed, stage
):
    out = tmp_path / "out"
    with watched(out) as seen:
        code, _ = stop(stage, signal.SIGKILL, tmp_path / "ready", *predict(scans, out, weights))
        left = contents_of_results(out)
        resumed = run_here(*predict(scans, out, weights, "--resume"))

    assert code == -signal.SIGKILL
    assert left.items() < undisturbed.items()
    assert bool(left) == (stage != "loading weights")
    assert resumed.exit_code == 0
    assert contents(out) == undisturbed  # all five and nothing else, hidden or not
    assert seen <= set(undisturbed.items())


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_asked_to_end_cleans_up_at_once_and_resumes(
    tmp_path, scans, weights, undisturbed, stage
):
    out = tmp_path / "out"
    with watched(out) as seen:
        code, errors = stop(
            stage, signal.SIGTERM, tmp_path / "ready", *predict(scans, out, weights)
        )
        left = contents(out)
        resumed = run_here(*predict(scans, out, weights, "--resume"))

    assert code == 128 + signal.SIGTERM
    assert errors == "error: stopped by SIGTERM; run again with --resume to go on\n"
    assert left.items() < undisturbed.items()
    assert bool(left) == (stage != "loading weights")
    assert resumed.exit_code == 0
    assert contents(out) == undisturbed
    assert seen <= set(undisturbed.items())


def test_control_c_ends_a_run_in_one_line(tmp_path, scans, weights):
    arguments = predict(scans, tmp_path / "out", weights)

    code, errors = stop("in the network", signal.SIGINT, tmp_path / "ready", *arguments)

    assert code == 128 + signal.SIGINT
    assert errors == "error: stopped by SIGINT; run again with --resume to go on\n"


def test_two_runs_at_once_into_one_folder_end_with_whole_results(
    tmp_path, scans, weights, undisturbed
):
    out = tmp_path / "out"
    with watched(out) as seen:
        both = [
            subprocess.Popen(
                command(*predict(scans, out, weights)), cwd=ROOT, stdout=subprocess.DEVNULL
            )
            for _ in range(2)
        ]
        codes = [process.wait(timeout=60) for process in both]

    assert codes == [0, 0]
    assert contents(out) == undisturbed
    assert seen <= set(undisturbed.items())


def test_a_run_beside_a_living_one_leaves_its_unfinished_result_alone(
    tmp_path, scans, weights, undisturbed
):
    out, ready = tmp_path / "out", tmp_path / "ready"
    held = [sys.executable, "-m", "tests.meatus.stopped_run", "writing", str(ready)]
    living = subprocess.Popen(
        [*held, *map(str, predict(scans, out, weights))], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        while not ready.exists():
            assert living.poll() is None
            time.sleep(0.01)
        (folder,) = out.glob(".meatus-*")
        before = contents(folder)

        assert run_here(*predict(scans, out, weights, "--resume")).exit_code == 0

        assert contents(folder) == before
        assert contents_of_results(out) == undisturbed
    finally:
        living.kill()
        living.wait()


def mounted(options, folder):
    """A command's prefix: ``folder`` is a tmpfs for it alone, and copied to ``kept`` at the end."""
    script = (
        'mount -t tmpfs -o "$0" tmpfs "$1" || exit 77; out=$1; shift; "$@"; code=$?; '
        'cp -a "$out/." "$out-kept"; exit $code'
    )
    kept = folder.with_name(f"{folder.name}-kept")
    for path in (folder, kept):
        path.mkdir()
    return kept, ("unshare", "-rm", "sh", "-c", script, options, str(folder))


def run_mounted(wrapper, *arguments):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    done = run(*arguments, wrapper=wrapper)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("this user may not mount a tmpfs here")
    return done


def test_on_a_full_disk_what_fits_is_whole_and_each_other_case_gets_one_line(
    tmp_path, scans, weights, undisturbed
):
    page = os.sysconf("SC_PAGE_SIZE")
    assert all(len(result) < page for result in undisturbed.values())
    kept, wrapper = mounted(f"size={3 * page}", tmp_path / "out")

    done = run_mounted(wrapper, *predict(scans, tmp_path / "out", weights))

    assert done.returncode == 1
    assert contents(kept) == {name: undisturbed[name] for name in RESULTS[:3]}
    assert done.stderr.splitlines() == [
        f"error: {case}: {tmp_path}/out/{case}.nii.gz: cannot be written (No space left on "
        "device); make room, or see that this user may write there."
        for case in CASES[3:]
    ]
    assert run_here(*predict(scans, kept, weights, "--resume")).exit_code == 0
    assert contents(kept) == undisturbed


def test_a_read_only_output_ends_in_one_line_before_anything_starts(tmp_path, scans, weights):
    _, wrapper = mounted("ro", tmp_path / "out")

    done = run_mounted(wrapper, *predict(scans, tmp_path / "out", weights))

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/out cannot be written (Read-only file system")
    assert len(done.stderr.splitlines()) == 1


def test_a_scan_that_vanishes_fails_alone_and_one_that_appears_waits_for_the_next_run(
    tmp_path, scans, weights, undisturbed, monkeypatch
):
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(scans, source)
    inner, calls = meatus.service.labelling.segment, []

    def segment(*arguments, **named):
        if not calls:
            (source / "case4_T2.nii.gz").unlink()
            save_scan(source / "case6_T2.nii.gz")
        calls.append(1)
        return inner(*arguments, **named)

    monkeypatch.setattr(meatus.service.labelling, "segment", segment)

    first = run_here(*predict(source, out, weights))
    after_first = contents(out)
    second = run_here(*predict(source, out, weights, "--resume"))

    assert first.exit_code == 1
    (line,) = first.stderr.splitlines()
    assert line.startswith("error: case4: ")
    assert "case4_T2.nii.gz" in line
    whole = {name: undisturbed[name] for name in RESULTS if name != "case4.nii.gz"}
    assert after_first == whole
    assert second.exit_code == 0
    assert contents(out).keys() == {*whole, "case6.nii.gz"}


@pytest.mark.parametrize("more", [(), ("--on-error", "empty")])
def test_a_case_that_needs_too_much_memory_fails_alone(
    tmp_path, scans, weights, undisturbed, monkeypatch, more
):
    inner, calls = meatus.service.labelling.segment, []
    failures = {2: MemoryError(), 4: DeviceError("CUDA: out of memory; use --device cpu.")}

    def segment(*arguments, **named):
        calls.append(1)
        if len(calls) in failures:
            raise failures[len(calls)]
        return inner(*arguments, **named)

    monkeypatch.setattr(meatus.service.labelling, "segment", segment)

    done = run_here(*predict(scans, tmp_path / "out", weights, *more))

    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "error: case2: MemoryError: no reason given (see --debug)",
        "error: case4: CUDA: out of memory; use --device cpu.",
    ]
    written = contents(tmp_path / "out")
    right = {name for name in written if written[name] == undisturbed[name]}
    assert right == {"case1.nii.gz", "case3.nii.gz", "case5.nii.gz"}
    assert len(written) == (5 if more else 3)
    assert "3 of 5 cases done, 2 failed" in done.stdout
