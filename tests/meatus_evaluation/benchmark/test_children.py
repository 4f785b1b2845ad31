import signal
import subprocess
import sys
import time

import psutil
import pytest

from meatus_evaluation.benchmark.children import ChildFailedError, no_child_left, output_of
from tests.meatus_evaluation.label_maps import save

GRANDCHILD = "import time; time.sleep(60)"
# A child that has one of its own, as predict has with several processes.
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"
PROGRAM = f"""
import sys
from meatus_evaluation.benchmark.children import no_child_left, output_of
with no_child_left():
    output_of([sys.executable, "-c", {CHILD!r}], "sleep")
"""
BUDGET = f"""
import sys
from meatus.cli import main
from meatus_evaluation.benchmark import batch
batch._process = lambda *_: batch.Command([sys.executable, "-c", {CHILD!r}])
main(["budget", sys.argv[1]])
"""


def stopped(program, *arguments, stop, children):
    """Signal ``program`` once it has so many; its exit code, and which children still run."""
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)])
    seen = psutil.Process(process.pid)
    found = []
    while len(found) < children and process.poll() is None:
        time.sleep(0.05)
        found = seen.children(recursive=True)
    process.send_signal(stop)
    code = process.wait(60)
    return code, [child for child in found if child.is_running() and child.status() != "zombie"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_children_and_their_children(stop):
    assert stopped(PROGRAM, stop=stop, children=2) == (128 + stop, [])


def test_a_budget_that_is_stopped_leaves_nothing_running(tmp_path):
    save(tmp_path / "scans" / "a_T2.nii.gz")

    code, left = stopped(BUDGET, tmp_path / "scans", stop=signal.SIGTERM, children=2)

    assert (code, left) == (143, [])


def test_an_error_ends_them_too_and_handlers_are_as_before():
    before, started = signal.getsignal(signal.SIGTERM), []

    @no_child_left()
    def fail():
        started.append(subprocess.Popen([sys.executable, "-c", GRANDCHILD]))
        raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert started[0].wait(10) == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_ran_before_goes_on():
    child = subprocess.Popen([sys.executable, "-c", GRANDCHILD])
    with no_child_left():
        pass

    assert child.poll() is None
    child.kill()
    child.wait()


def test_a_child_that_fails_tells_its_last_line():
    with pytest.raises(ChildFailedError, match=r"^it: no such scan$"):
        output_of([sys.executable, "-c", "raise SystemExit('error: no such scan')"], "it")
