"""A training in a process of its own that is told to end."""

import subprocess
import sys

import torch

from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.member import train_member
from meatus_training.segmentation.train import train_segmenter
from tests.meatus_training.segmentation.runs import TINY, silent, toy_scans, weights

SLOW = """
import sys, time
from pathlib import Path
from meatus.service.commands import one_line_errors
from meatus_training.runs.launch import make_fabric, stop_when_told
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.segmentation.samples import SampleScans
from meatus_training.segmentation.member import train_member
from tests.meatus_training.segmentation.runs import TINY, toy_scans

def slowly(line):
    print(line, flush=True)
    time.sleep(0.2)

@one_line_errors
def main():
    folder = Path(sys.argv[1])
    how = {"say": slowly, "should_stop": stop_when_told()}
    fabric = make_fabric(accelerator="cpu")
    scans = toy_scans(folder / "scans")
    train_member(folder / "a", scans, TINY, PrepareSettings(), fabric, "", **how)

main()
"""


def test_a_training_that_slurm_ends_goes_on_where_it_stopped(tmp_path):
    run = [sys.executable, "-c", SLOW, str(tmp_path)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().startswith("step 1:")
        child.terminate()
        errors = child.communicate()[1]
    saved = torch.load(tmp_path / "a/state.pt", weights_only=True)["step"]

    fabric = make_fabric(accelerator="cpu")
    scans = toy_scans(tmp_path / "scans")
    file = train_member(tmp_path / "a", scans, TINY, PrepareSettings(), fabric, "x", say=silent)

    assert child.returncode == 2
    assert errors.strip().endswith("run the same command again to go on.")
    assert 1 <= saved < 6
    network, spec, extra = load_checkpoint(file)
    whole = train_segmenter(scans, TINY, tmp_path / "whole", fabric, say=silent).network
    torch.testing.assert_close(weights(network), weights(whole), rtol=0, atol=1e-6)
    assert (spec.name, spec.width, spec.window.depth, spec.trained_on) == ("a", 4, 8, "x")
    assert extra["config"]["steps"] == 6
