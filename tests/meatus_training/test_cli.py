"""From a network to weights that run, small enough for a test."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.weights import read_spec
from meatus_training.networks import ResUNet25d
from meatus_training.runs.checkpoints import save_checkpoint
from tests.golden_files import GOLDEN
from tests.meatus.specs import make_spec
from tests.meatus.tiny_runs import save_scan


def run(*arguments):
    command = [sys.executable, "-m", "meatus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A scan, a network that knows nothing, and its export."""
    folder = tmp_path_factory.mktemp("work")
    scan = save_scan(folder / "head_0001_T2.nii.gz")
    torch.manual_seed(0)
    network = ResUNet25d(4, 1)
    spec = make_spec(width=4)
    save_checkpoint(folder / "network.pt", network, spec)

    arguments = (folder / "network.pt", folder / "tiny.onnx", "--fp16", "--scan", scan)
    done = run("train", "export", *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


def test_the_export_reports_every_runtime(work):
    for runtime in ("ONNX Runtime fp32", "OpenVINO fp32", "OpenVINO bf16", "fp16 file"):
        assert runtime in work[1]


def test_the_exported_file_says_what_it_was_trained_on(work):
    spec = read_spec(work[0] / "tiny.onnx")

    assert spec.trained_on == "nothing: a test"
    assert (spec.width, spec.precision, spec.licence) == (4, "fp16", "none")


def test_an_export_at_a_temperature_is_less_sure_of_the_same(work):
    folder, _ = work
    made = ("train", "export", folder / "network.pt", folder / "mild.onnx", "--fp16")
    scan = folder / "head_0001_T2.nii.gz"

    done = run(*made, "--scan", scan, "--temperature", "2")

    assert (done.returncode, done.stderr) == (0, "")
    window = np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32)
    sure, mild = (
        OpenVinoEngine(file, read_spec(file), threads=1, precision="f32")(window)
        for file in (folder / "tiny.onnx", folder / "mild.onnx")
    )
    expected = np.sqrt(sure) / np.sqrt(sure).sum(axis=0)  # half of the logits
    np.testing.assert_allclose(mild, expected, atol=0.02)  # both in half precision
    assert np.abs(mild - sure).max() > 0.05, "else nothing was changed"


def test_the_exported_file_labels_a_scan_on_its_own_grid(work):
    folder, _ = work
    scan = folder / "head_0001_T2.nii.gz"

    done = run("predict", scan, folder / "out", "--weights", folder / "tiny.onnx")

    assert (done.returncode, done.stderr) == (0, "")
    labels = nib.load(folder / "out" / "head_0001.nii.gz")
    assert labels.shape == nib.load(scan).shape
    assert set(np.unique(labels.get_fdata())) <= {0, 1, 2, 3}


def test_a_published_checkpoint_becomes_weights_of_ours(tmp_path, work):
    golden = np.load(GOLDEN / "resunet25d.npz")
    state = {
        name.removeprefix("state/"): torch.from_numpy(golden[name])
        for name in golden.files
        if name.startswith("state/")
    }
    torch.save({"state_dict": state, "meta": {"epoch": 3}}, tmp_path / "published.pth")

    done = run(
        "train", "import-checkpoint", tmp_path / "published.pth", tmp_path / "out.onnx",
        "--scan", work[0] / "head_0001_T2.nii.gz",
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    spec = read_spec(tmp_path / "out.onnx")
    assert (spec.crop.rule, spec.window.depth, spec.width) == ("reference", 40, 4)
    assert "published.pth" in spec.trained_on


def test_what_is_no_checkpoint_ends_in_one_line(tmp_path):
    (tmp_path / "no.pth").write_bytes(b"no checkpoint")

    done = run("train", "import-checkpoint", tmp_path / "no.pth", tmp_path / "out.onnx")

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no.pth" in line
    assert not (tmp_path / "out.onnx").exists()
