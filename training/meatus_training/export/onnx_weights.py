"""The network in an exported file: to compare it with, or to go on training from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from meatus.errors import WeightsError
from meatus.spec import Spec
from meatus_training.networks import ResUNet25d, call_background

SURE = 5.0  # logit of the background: a probability of 0.98
DEEP_HEADS = ("head.conv1", "head.conv2", "head.conv3")


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
