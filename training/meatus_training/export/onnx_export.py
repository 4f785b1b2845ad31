"""A network as one self-contained ONNX file.

The graph is written out node by node rather than traced: twenty lines of architecture give
the same few standard operators for every runtime (ONNX Runtime, OpenVINO, TensorRT), with
depth, height and width open, and no shape arithmetic for a runtime to stumble over.

Four things differ from the PyTorch module, none of them in what is computed:

- Biases of convolutions before an instance norm are left out: the norm subtracts them again.
- The classifier runs before the last enlargement, as in ``Head.full_resolution``.
- Instance norms are spelled out, with sums in stages. ONNX Runtime and OpenVINO add up a channel
  of their InstanceNormalization in few float32 accumulators: on a window with much black, where
  the same value is added a million times and rounded the same way each time, probabilities came
  out wrong by up to 0.007. In stages they are right to 1e-5, at the same speed.
- The graph ends in the softmax where ``Spec.softmax`` says so, which is the default. OpenVINO
  does it on the cores that are computing anyway, and every runtime saves a pass in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from meatus.atomic import write_whole
from meatus.errors import WeightsError
from meatus.spec import METADATA_KEY, Spec, spec_to_json
from meatus_training.errors import TrainingError
from meatus_training.networks import ResUNet25d, call_background

INPUT, OUTPUT = "window", "probabilities"

# The first opset with the Resize of today; TensorRT 8.6 and all runtimes since read it.
OPSET = 18
IR_VERSION = 8

EPSILON = 1e-5  # of torch's norms
SURE = 5.0  # logit of the background: a probability of 0.98
DEEP_HEADS = ("head.conv1", "head.conv2", "head.conv3")


def export_onnx(network: ResUNet25d, spec: Spec, path: Path) -> None:
    """Write ``network`` with its ``spec`` to ``path``.

    Input ``window``: float32 (1, in, D, H, W), H and W multiples of 16. Output
    ``probabilities`` (before their softmax where the spec has none): float32 (1, C, D, H, W).
    With ``spec.precision`` "fp16" weights and convolutions are float16.

    Raises ``TrainingError`` where the spec describes another network, ``OutputError`` where
    ``path`` cannot be written.
    """
    found = (network.width, network.blocks, network.classes)
    expected = (spec.width, spec.blocks, len(spec.classes))
    if found != expected:
        raise TrainingError(
            f"{path}: the network has (width, blocks, classes) {found}, its spec says {expected}. "
            "Export it with the spec it was trained with."
        )
    write_whole(path, build_model(network, spec).SerializeToString())


def build_model(network: ResUNet25d, spec: Spec) -> onnx.ModelProto:
    """The checked model, metadata included, in memory."""
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    draft = _Draft(state, half=spec.precision == "fp16")
    _draw(draft, network.blocks, softmax=spec.softmax)
    grid = ["depth", "height", "width"]
    window = helper.make_tensor_value_info(
        INPUT, TensorProto.FLOAT, [1, network.in_channels, *grid]
    )
    result = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, network.classes, *grid])
    graph = helper.make_graph(draft.nodes, spec.name, [window], [result], draft.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="meatus",
        producer_version=spec.training_version,
    )
    helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    onnx.checker.check_model(model, full_check=True)
    return model


@dataclass
class _Draft:
    """The graph under construction: each method appends nodes and names their result.

    With ``half`` the tensors between nodes are float16, but the norms work in float32: the
    variance of a channel is a sum over up to 40x192x192 voxels, and float16 ends at 65504.
    """

    state: dict[str, torch.Tensor]
    half: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    def node(self, op: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, name: str) -> str:
        value = self.state[name].float().contiguous().numpy()
        return self.constant(name, value.astype(np.float16) if self.half else value)

    def narrow(self, x: str) -> str:
        return self._cast(x, TensorProto.FLOAT16) if self.half else x

    def widen(self, x: str) -> str:
        return self._cast(x, TensorProto.FLOAT) if self.half else x

    def _cast(self, x: str, dtype: int) -> str:
        name = f"cast_{len(self.nodes)}"
        self.nodes.append(helper.make_node("Cast", [x], [name], name=name, to=dtype))
        return name

    def conv_norm(self, x: str, name: str, *, halve: bool = False) -> str:
        """The convolution ``name``, "same" padded, without its bias, then the instance norm."""
        kernel = list(self.state[f"{name}.weight"].shape[2:])
        pads = [edge // 2 for edge in kernel] * 2
        strides = [1, 2, 2] if halve else [1, 1, 1]
        x = self.node(
            "Conv",
            x,
            self.weight(f"{name}.weight"),
            kernel_shape=kernel,
            pads=pads,
            strides=strides,
        )
        return self.narrow(self.instance_norm(self.widen(x)))

    def instance_norm(self, x: str) -> str:
        """Zero mean, unit variance per channel, by sums in stages; see the module's text."""
        epsilon = self.constant("epsilon", np.array(EPSILON, np.float32))
        centred = self.node("Sub", x, self.channel_mean(x))
        variance = self.channel_mean(self.node("Mul", centred, centred))
        deviation = self.node("Sqrt", self.node("Add", variance, epsilon))
        return self.node("Div", centred, deviation)

    def channel_mean(self, x: str) -> str:
        """(1, C, D, H, W) to (1, C, 1, 1, 1): means of rows, then the mean of those.

        The reshape between keeps runtimes from merging the two.
        """
        last = self.constant("axis_4", np.array([4], np.int64))
        rows = self.node("ReduceMean", x, last, keepdims=0)
        flat = self.node("Reshape", rows, self.constant("flat", np.array([0, 0, -1], np.int64)))
        mean = self.node("ReduceMean", flat, self.constant("axis_2", np.array([2], np.int64)))
        return self.node("Unsqueeze", mean, self.constant("axes_3_4", np.array([3, 4], np.int64)))

    def conv_norm_relu(self, x: str, name: str, *, halve: bool = False) -> str:
        return self.node("Relu", self.conv_norm(x, name, halve=halve))

    def upsample(self, x: str, *, name: str = "") -> str:
        """Twice the height and width, bilinear, half-pixel centres; depth stays."""
        scales = self.constant("scales", np.array([1, 1, 1, 2, 2], np.float32))
        return self.node(
            "Resize",
            x,
            "",  # no region of interest
            scales,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
            name=name,
        )


def _draw(draft: _Draft, blocks: int, *, softmax: bool) -> None:
    """The network from ``INPUT`` to ``OUTPUT``; the same steps as ``Backbone.forward``."""
    x = draft.narrow(INPUT)
    name = "backbone.in_conv.conv"
    c1 = draft.conv_norm_relu(x, f"{name}.0", halve=True)
    c1 = draft.conv_norm_relu(c1, f"{name}.3")
    c2 = _stage(draft, c1, "backbone.layer1", blocks)
    c3 = _stage(draft, c2, "backbone.layer2", blocks)
    c4 = _stage(draft, c3, "backbone.layer3", blocks)
    c5 = _fuse(draft, c4, c3, "backbone.conv5.conv")
    c6 = _fuse(draft, c5, c2, "backbone.conv6.conv")
    c7 = _fuse(draft, c6, c1, "backbone.conv7.conv")
    classifier = draft.weight("head.conv.weight"), draft.weight("head.conv.bias")
    few = draft.widen(draft.node("Conv", c7, *classifier, kernel_shape=[1, 1, 1]))
    if softmax:
        draft.node("Softmax", draft.upsample(few), axis=1, name=OUTPUT)
    else:
        draft.upsample(few, name=OUTPUT)


def _stage(draft: _Draft, x: str, name: str, blocks: int) -> str:
    for block in range(blocks):
        x = _residual_block(draft, x, f"{name}.{block}", halve=block == 0)
    return x


def _residual_block(draft: _Draft, x: str, name: str, *, halve: bool) -> str:
    main = draft.conv_norm_relu(x, f"{name}.conv1", halve=halve)
    main = draft.conv_norm(main, f"{name}.conv2")
    shortcut = draft.conv_norm(x, f"{name}.downsample.0", halve=True) if halve else x
    return draft.node("Relu", draft.node("Add", main, shortcut))


def _fuse(draft: _Draft, upper: str, skip: str, name: str) -> str:
    x = draft.node("Concat", draft.upsample(upper), skip, axis=1)
    return draft.conv_norm_relu(draft.conv_norm_relu(x, f"{name}.0"), f"{name}.3")


def read_network(path: Path, spec: Spec) -> ResUNet25d:
    """The network whose weights the exported file ``path`` holds, in float32.

    Biases before a norm and the heads of deep supervision are not in the file, since they change
    nothing at inference. The former are 0. The head at half resolution sees the same features as
    the one in the file and starts as that; the coarser ones call everything background, which
    is nearly right: at 0 their loss would be the largest and drive the features off.

    Raises ``WeightsError`` where a weight is missing.
    """
    stored = {one.name: one for one in onnx.load(path).graph.initializer}
    network = ResUNet25d(spec.width, spec.blocks, len(spec.classes))
    state = network.state_dict()
    for name, value in state.items():
        if name in stored:
            array = numpy_helper.to_array(stored[name]).astype(np.float32)
            state[name] = torch.from_numpy(array).reshape(value.shape)
        elif name.endswith("bias") or name.startswith(DEEP_HEADS):
            state[name] = torch.zeros_like(value)
        else:
            raise WeightsError(f"{path}: has no weight '{name}'; export it again.")
    network.load_state_dict(state)
    network.head.conv1.load_state_dict(network.head.conv.state_dict())
    call_background((network.head.conv2, network.head.conv3), SURE)
    return network
