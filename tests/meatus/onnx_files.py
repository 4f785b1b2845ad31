"""Tiny ONNX networks that look like exported weights."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from meatus.spec import (
    METADATA_KEY,
    PhysicalCrop,
    Spec,
    VolumeNormalisation,
    Window,
    spec_to_json,
)


def tiny_spec(**changes):
    return Spec(
        **{
            "name": "tiny",
            "crop": PhysicalCrop(size=(8, 6)),
            "normalisation": VolumeNormalisation(),
            "window": Window(depth=4, overlap=1),
            "trained_on": "nothing",
            "licence": "Apache-2.0",
            "date": "2024-01-01",
            "training_version": "0",
            "width": 1,
            "blocks": 1,
        }
        | changes
    )


def write_network(path, spec=None, slopes=(0.0, 1.0, -1.0, 2.0), offset=0.25, depth="D"):
    """A 1 x 1 x 1 convolution: channel c scores ``slopes[c] * intensity + offset * c``."""
    spec = spec or tiny_spec()
    kind, dtype = (
        (TensorProto.FLOAT16, np.float16)
        if spec.precision == "fp16"
        else (TensorProto.FLOAT, np.float32)
    )
    weight = np.array(slopes, dtype).reshape(-1, 1, 1, 1, 1)
    bias = np.array([offset * channel for channel in range(len(slopes))], dtype)
    nodes = [
        helper.make_node("Cast", ["window"], ["input"], to=kind),
        helper.make_node("Conv", ["input", "weight", "bias"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["wide"], ["probabilities"], axis=1)
        if spec.softmax
        else helper.make_node("Identity", ["wide"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, [1, 1, depth, "H", "W"])],
        [
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, [1, len(slopes), depth, "H", "W"]
            )
        ],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests"
    )
    helper.set_model_props(model, {"other": "entry", METADATA_KEY: spec_to_json(spec)})
    path.write_bytes(model.SerializeToString())
    return path


def without_metadata(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    return path
