"""The int8 network in an ONNX file: what it is calibrated on, and that it labels nearly alike."""

import builtins

import numpy as np
import pytest
from click.testing import CliRunner

from meatus.engines.onnx_runtime import OnnxRuntimeEngine
from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.io.images import read_scan
from meatus.weights import read_spec
from meatus_training.cli import quantise
from meatus_training.errors import TrainingError
from meatus_training.export.int8 import MOST_WINDOWS, quantised, windows_of
from meatus_training.export.onnx_export import export_onnx
from meatus_training.segmentation.initial_weights import start_network
from tests.meatus.specs import make_spec
from tests.meatus.tiny_runs import save_scan
from tests.meatus_training.segmentation.runs import TINY

SPEC = make_spec(width=TINY.width, blocks=TINY.blocks)


@pytest.fixture
def network(tmp_path):
    export_onnx(start_network(TINY), SPEC, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def test_windows_are_those_of_the_whole_field_and_not_too_many(tmp_path):
    scan = read_scan(save_scan(tmp_path / "a_T2.nii.gz"))

    few, many = windows_of([scan], SPEC), windows_of([scan] * 60, SPEC)

    assert {window.shape for window in few} == {(8, 32, 32)}
    assert len(few) == 2
    assert len(many) == MOST_WINDOWS


def test_without_nncf_the_reason_is_one_line(network, monkeypatch):
    inner = builtins.__import__

    def lacking(name, *arguments):
        if name == "nncf":
            raise ImportError("no nncf here")
        return inner(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", lacking)

    with pytest.raises(TrainingError, match="pip install nncf"):
        quantised(network, [np.zeros((8, 32, 32), np.float32)])


def test_the_int8_network_is_near_the_float_one_which_stays_as_it_was(network, tmp_path):
    pytest.importorskip("nncf", reason="pip install nncf")
    (tmp_path / "scans").mkdir()
    scan = read_scan(save_scan(tmp_path / "scans/a_T2.nii.gz"))
    out = tmp_path / "b.onnx"

    done = CliRunner().invoke(quantise, [str(network), str(tmp_path / "scans"), str(out)])

    assert done.exit_code == 0, done.output
    window = windows_of([scan], SPEC)[0]
    before = OnnxRuntimeEngine(network, SPEC, "onnxruntime", threads=1)(window)
    after = OnnxRuntimeEngine(out, read_spec(out), "onnxruntime", threads=1)(window)
    small = OpenVinoEngine(out, read_spec(out), threads=1, precision="int8")(window)
    np.testing.assert_array_equal(before, after)
    assert 0 < np.abs(small - before).max() < 0.1
