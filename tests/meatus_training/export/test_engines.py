"""Every runtime beside PyTorch on whole scans, with weights read back from the exported file."""

import json

import numpy as np
import onnx
import pytest
import torch

from meatus.engines.onnx_runtime import OnnxRuntimeEngine
from meatus.errors import WeightsError
from meatus.io.images import read_scan
from meatus.weights import read_spec
from meatus_training.export.agreement import probabilities
from meatus_training.export.engines import TorchEngine, compare_engines, summarise
from meatus_training.export.onnx_export import export_onnx, read_network
from meatus_training.networks import ResUNet25d
from tests.meatus.specs import make_spec
from tests.meatus.tiny_runs import save_scan
from tests.meatus_training.test_cli import run

STRUCTURES = {"extra_meatal", "intra_meatal", "whole_vs", "cochlea"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two scans, and a network that knows nothing."""
    folder = tmp_path_factory.mktemp("engines")
    torch.manual_seed(0)
    export_onnx(ResUNet25d(4, 1), make_spec(width=4), folder / "tiny.onnx")
    (folder / "scans").mkdir()
    for seed in (1, 2):
        save_scan(folder / "scans" / f"c{seed}_T2.nii.gz", seed)
    return folder


def test_a_network_read_back_computes_what_the_file_does(work):
    file = work / "tiny.onnx"
    spec = read_spec(file)
    window = np.random.default_rng(0).uniform(-1, 1, (8, 32, 32)).astype(np.float32)
    network = read_network(file, spec)

    found = OnnxRuntimeEngine(file, spec, "onnxruntime", threads=1)(window)

    np.testing.assert_allclose(TorchEngine(network)(window), found, atol=1e-5)
    with torch.no_grad():
        network.head.conv.bias[0] += 1
    assert np.abs(probabilities(network, window) - found).max() > 0.05


def test_a_network_read_back_calls_everything_background_at_coarse_levels(work):
    network = read_network(work / "tiny.onnx", read_spec(work / "tiny.onnx"))

    with torch.no_grad():
        levels = network.forward_deep(torch.rand(1, 1, 4, 32, 32))

    for logits in levels[2:]:
        assert logits.softmax(1)[:, 0].min() > 0.95


def test_all_runtimes_of_this_machine_are_compared_on_whole_scans(work):
    scan = read_scan(work / "scans" / "c1_T2.nii.gz")

    ((name, found),) = compare_engines([("c1", scan)], work / "tiny.onnx", "fast")

    assert name == "c1"
    assert {"ONNX Runtime CPU fp32", "OpenVINO CPU f32", "OpenVINO CPU bf16"} <= set(found)
    assert all(set(dices) == STRUCTURES for dices in found.values())
    assert min(found["OpenVINO CPU f32"].values()) > 0.99


def test_means_and_lowest_are_over_the_cases():
    cases = {"a": {"x": {"cochlea": 1.0}}, "b": {"x": {"cochlea": 0.9}}}

    (row,) = summarise(cases)

    assert (row.engine, row.structure, row.lowest, row.lowest_case) == ("x", "cochlea", 0.9, "b")
    assert row.mean == pytest.approx(0.95)


def test_the_command_prints_a_table_and_its_exit_code_tells(work, tmp_path):
    file = tmp_path / "numbers.json"
    weights = ("--weights", work / "tiny.onnx")

    done = run("train", "engines", work / "scans", *weights, "--quality", "fast", "--json", file)

    numbers = json.loads(file.read_text())
    assert sorted(numbers) == ["c1", "c2"]
    means = [
        np.mean([numbers[case][engine][structure] for case in numbers])
        for engine in numbers["c1"]
        for structure in STRUCTURES
    ]
    assert done.returncode == (1 if min(means) < 0.99 else 0)
    assert "OpenVINO CPU f32" in done.stdout


def test_a_file_without_a_weight_is_refused(work, tmp_path):
    model, spec = onnx.load(work / "tiny.onnx"), read_spec(work / "tiny.onnx")
    del model.graph.initializer[0]
    onnx.save(model, tmp_path / "less.onnx")

    with pytest.raises(WeightsError, match=r"less\.onnx: has no weight"):
        read_network(tmp_path / "less.onnx", spec)
