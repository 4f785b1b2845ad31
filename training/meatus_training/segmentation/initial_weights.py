"""What a network starts from: the seed alone, or a narrower network.

Source of the widening: Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge
Transfer", ICLR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from meatus_training.networks import MEMORY_FORMAT, ResUNet25d, call_background
from meatus_training.segmentation.settings import SegmentSettings

SPREAD = 0.5  # SD of what tells twins apart, of that of a layer's weights


def start_network(settings: SegmentSettings) -> ResUNet25d:
    """A fresh network, drawn from the seed alone, on the processor.

    With a background bias its heads first call everything background: without it the first
    hundreds of steps of a small training go into unlearning false structures.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = ResUNet25d(settings.width, settings.blocks)
        if settings.initialisation == "he":
            initialise_he(network)
    if settings.background_bias:
        heads = (m for m in network.head.modules() if isinstance(m, nn.Conv3d))
        call_background(heads, settings.background_bias)
    network.to(memory_format=MEMORY_FORMAT)  # type: ignore[call-overload]
    # A 1x1x1 kernel is both layouts at once; DDP warns where strides are not its gradient's.
    for parameter in network.parameters():
        if parameter.ndim > 1 and parameter[0, 0].numel() == 1:
            parameter.data = parameter.data.flatten().view(parameter.shape)
    return network


def initialise_he(network: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, and no biases.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015; the paper's table 3 names it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def widen(network: ResUNet25d, times: int, seed: int) -> ResUNet25d:
    """``network`` with ``times`` twins of each channel, and the same logits (Net2WiderNet).

    Twins see and say the same, but what follows weighs each of them differently, with the same
    sum, so that training moves them apart. ``seed`` draws these weights.
    """
    wide = ResUNet25d(network.width * times, network.blocks, network.classes, network.in_channels)
    rng = torch.Generator().manual_seed(seed)
    narrow, wanted = network.state_dict(), wide.state_dict()
    for name, value in narrow.items():
        shape = wanted[name].shape
        grown = value.repeat_interleave(shape[0] // value.shape[0], 0)
        if value.ndim > 1 and shape[1] != value.shape[1]:
            grown = _shared(grown, times, rng)
        wanted[name] = grown
    wide.load_state_dict(wanted)
    return wide


def _shared(weight: Tensor, times: int, rng: torch.Generator) -> Tensor:
    """``weight`` (out, in, ...) for ``times`` twins of each input: (out, in times, ...).

    Each twin gets its part and a random share that sums to nothing over the twins.
    """
    parts = (weight / times)[:, :, None].expand(-1, -1, times, *weight.shape[2:])
    noise = torch.randn(parts.shape, generator=rng)
    noise = noise - noise.mean(2, keepdim=True)
    told_apart = parts + SPREAD * weight.std() / times * noise
    return told_apart.reshape(len(weight), -1, *weight.shape[2:])
