import signal

import pytest

from tests.meatus_evaluation.benchmark.test_children import CHILD, stopped

# The benchmark's work is one child that has a child of its own, as the main job's process may.
PROGRAM = f"""
import sys
from meatus.cli import main
from meatus_evaluation.benchmark.children import output_of
from meatus_training.bench import commands

def work(*arguments, **options):
    output_of([sys.executable, "-c", {CHILD!r}], "sleep")

commands.run_bench = commands.measure_growth = commands.measure_ways = work
main(["train", *sys.argv[1:]])
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [("bench",), ("bench-scaling", "x"), ("bench-engines", "x")])
def test_a_benchmark_that_is_stopped_leaves_nothing_running(command, stop):
    assert stopped(PROGRAM, *command, stop=stop, children=2) == (128 + stop, [])
