import copy
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from meatus.engines.onnx_runtime import OnnxRuntimeEngine
from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.spec import PhysicalCrop, Spec, VolumeNormalisation, Window
from meatus.weights import read_spec
from meatus_training.errors import TrainingError
from meatus_training.export import agreement
from meatus_training.export.agreement import compare, difference, export_checked, probabilities
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d

SPEC = Spec(
    name="test",
    crop=PhysicalCrop(),
    normalisation=VolumeNormalisation(),
    window=Window(24, 8),
    trained_on="nothing",
    licence="Apache-2.0",
    date="2026-01-01",
    training_version="1",
    width=4,
    blocks=2,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ResUNet25d(width=4, blocks=2)


def noise(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def run(path, window):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"window": window[None, None]})[0][0]


def corrupt(path):
    """Add one to a weight in the middle of the network."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "backbone.conv6.conv.3.weight"]
    value = numpy_helper.to_array(tensor).copy()
    value[0, 0, 1, 1, 1] += 1
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    onnx.save(model, path)


def test_one_file_takes_windows_of_any_depth_height_and_width(network, tmp_path):
    path = tmp_path / "a.onnx"
    export_onnx(network, SPEC, path)

    for shape in ((1, 32, 32), (5, 32, 48), (3, 64, 32)):
        window = noise(*shape)
        np.testing.assert_allclose(run(path, window), probabilities(network, window), atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_the_file_names_its_axes_and_carries_its_spec(network, tmp_path):
    path = tmp_path / "a.onnx"
    export_onnx(network, SPEC, path)

    model = onnx.load(path)
    window, result = model.graph.input[0], model.graph.output[0]
    axes = [d.dim_param or d.dim_value for d in window.type.tensor_type.shape.dim]
    channels = result.type.tensor_type.shape.dim[1].dim_value

    assert (window.name, result.name) == ("window", "probabilities")
    assert axes == [1, 1, "depth", "height", "width"]
    assert channels == 4
    assert (model.producer_name, model.producer_version) == ("meatus", "1")
    assert read_spec(path) == SPEC


def test_deep_supervision_and_biases_before_a_norm_stay_behind(network, tmp_path):
    export_onnx(network, SPEC, tmp_path / "a.onnx")

    names = {tensor.name for tensor in onnx.load(tmp_path / "a.onnx").graph.initializer}

    assert {name for name in names if name.startswith("head")} == {
        "head.conv.weight",
        "head.conv.bias",
    }
    assert {name for name in names if name.endswith(".bias")} == {"head.conv.bias"}


def test_without_softmax_the_graph_ends_in_logits(network, tmp_path):
    export_onnx(network, replace(SPEC, softmax=False), tmp_path / "a.onnx")
    window = noise(3, 32, 32)

    with torch.inference_mode():
        logits = network(torch.from_numpy(window[None, None]))[0].numpy()

    np.testing.assert_allclose(run(tmp_path / "a.onnx", window), logits, atol=1e-4)


def test_a_half_precision_file_is_half_the_size_and_takes_and_gives_float32(tmp_path):
    network = ResUNet25d(width=8, blocks=2)
    spec = replace(SPEC, width=8)
    export_onnx(network, spec, tmp_path / "full.onnx")
    export_onnx(network, replace(spec, precision="fp16"), tmp_path / "half.onnx")
    window = noise(3, 32, 32)

    result = run(tmp_path / "half.onnx", window)

    sizes = [(tmp_path / name).stat().st_size for name in ("half.onnx", "full.onnx")]
    assert sizes[0] < 0.55 * sizes[1]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, probabilities(network, window), atol=0.01)


def test_half_precision_leaves_norms_in_float32(network, tmp_path):
    export_onnx(network, replace(SPEC, precision="fp16"), tmp_path / "half.onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "half.onnx"))

    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    norms = [n for n in model.graph.node if n.op_type == "ReduceMean"]

    assert {types[node.input[0]] for node in norms} == {onnx.TensorProto.FLOAT}
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    assert {types[node.output[0]] for node in convs} == {onnx.TensorProto.FLOAT16}


def test_a_large_mostly_black_window_stays_exact_in_both_runtimes(tmp_path):
    """Against float64. With the runtimes' own instance norms both were off by over 1e-3."""
    torch.manual_seed(1)
    wide = ResUNet25d(width=4, blocks=1)
    spec = replace(SPEC, width=4, blocks=1)
    export_onnx(wide, spec, tmp_path / "net.onnx")
    window = np.full((24, 384, 384), -1, np.float32)
    window[:, 100:250, 100:250] = np.random.default_rng(0).uniform(-1, 1, (24, 150, 150))
    with torch.inference_mode():
        logits = copy.deepcopy(wide).double().eval()(torch.from_numpy(window)[None, None].double())
    exact = logits.softmax(1)[0].numpy()

    onnx_runtime = OnnxRuntimeEngine(tmp_path / "net.onnx", spec, "onnxruntime", threads=2)
    openvino = OpenVinoEngine(tmp_path / "net.onnx", spec, threads=2, precision="f32")

    assert np.abs(onnx_runtime(window) - exact).max() < 1e-4
    assert np.abs(openvino(window) - exact).max() < 1e-4
    assert np.abs(probabilities(wide, window) - exact).max() < 1e-4


def test_a_spec_of_another_network_is_refused(network, tmp_path):
    with pytest.raises(TrainingError, match=r"\(4, 2, 4\), its spec says \(16, 2, 4\)"):
        export_onnx(network, replace(SPEC, width=16), tmp_path / "a.onnx")


def test_differences_are_counted_as_on_paper():
    expected = np.array([[0.9, 0.9, 0.2, 0.2], [0.1, 0.1, 0.8, 0.8]], np.float32)
    found = np.array([[0.9, 0.9, 0.6, 0.2], [0.1, 0.1, 0.4, 0.8]], np.float32)

    apart = difference(found.reshape(2, 1, 2, 2), expected.reshape(2, 1, 2, 2))

    assert apart.maximum == pytest.approx(0.4)
    assert apart.mean == pytest.approx(0.1)
    assert apart.changed == 0.25
    assert apart.dice == pytest.approx((4 / 5, 2 / 3))


def test_a_checked_export_reports_every_runtime_and_leaves_one_file(network, tmp_path):
    found = export_checked(network, SPEC, noise(4, 32, 32), tmp_path / "a.onnx", fp16=True)

    assert found.onnxruntime.maximum < 1e-4
    assert found.openvino.maximum < 1e-4
    assert found.openvino_bf16.maximum < 0.2
    assert found.fp16 is not None
    assert 0 < found.fp16.maximum < 0.02
    assert len(found.lines()) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    assert read_spec(tmp_path / "a.onnx").precision == "fp16"


def test_every_name_that_the_disk_can_hold_can_be_exported_to(network, tmp_path):
    out = tmp_path / f"{'x' * 250}.onnx"

    export_checked(network, SPEC, noise(2, 32, 32), out)

    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("fp16", [False, True])
def test_a_file_that_disagrees_with_torch_is_never_written(fp16, network, tmp_path, monkeypatch):
    def export_badly(network, spec, path):
        export_onnx(network, spec, path)
        corrupt(path)

    monkeypatch.setattr(agreement, "export_onnx", export_badly)
    earlier = tmp_path / "a.onnx"
    earlier.write_bytes(b"an earlier export")

    with pytest.raises(TrainingError, match=r"a\.onnx: not written. In ONNX Runtime"):
        export_checked(network, SPEC, noise(4, 32, 32), earlier, fp16=fp16)

    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    assert earlier.read_bytes() == b"an earlier export"


def test_weights_that_are_not_finite_are_never_written(tmp_path):
    network = ResUNet25d(width=4, blocks=2)
    network.head.conv.bias.data[0] = float("nan")

    with pytest.raises(TrainingError, match="not written"):
        export_checked(network, SPEC, noise(2, 32, 32), tmp_path / "a.onnx")

    assert list(tmp_path.iterdir()) == []


def test_one_changed_weight_shows_in_every_runtime(network, tmp_path):
    path = tmp_path / "a.onnx"
    export_onnx(network, SPEC, path)
    corrupt(path)

    found = compare(network, path, noise(4, 32, 32))

    assert found.onnxruntime.maximum > agreement.TOLERANCE
    assert found.openvino.maximum > agreement.TOLERANCE
