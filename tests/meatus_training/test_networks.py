import json

import numpy as np
import pytest
import torch

from meatus_training.networks import (
    MEMORY_FORMAT,
    InstanceNorm,
    ResUNet25d,
    conv_of_concatenation,
    upsample,
)
from tests.golden_files import GOLDEN

# Published names of the features, and the module whose output each is.
FEATURES = ("in_conv", "layer1", "layer2", "layer3", "conv5", "conv6", "conv7")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "resunet25d.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def network(golden):
    network = ResUNet25d(width=4, blocks=2)
    prefix = "state/"
    state = {n.removeprefix(prefix): v for n, v in golden.items() if n.startswith(prefix)}
    network.load_state_dict(state, strict=True)
    return network.requires_grad_(False)


@pytest.mark.parametrize("case", ["a", "b"])  # b: a batch of two, not square
def test_logits_of_every_resolution_are_the_published_ones(network, golden, case):
    outputs = network.forward_deep(golden[f"{case}/input"])

    for name, output in zip(("logits", "aux1", "aux2", "aux3"), outputs, strict=True):
        torch.testing.assert_close(output, golden[f"{case}/{name}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["a", "b"])
def test_plain_forward_gives_the_published_labels(network, golden, case):
    labels = network(golden[f"{case}/input"]).argmax(1)

    torch.testing.assert_close(labels, golden[f"{case}/label"].long())


@pytest.mark.parametrize("case", ["a", "b"])
def test_in_double_precision_logits_agree_to_a_billionth(network, golden, case):
    double = ResUNet25d(width=4, blocks=2).double()
    double.load_state_dict(network.state_dict())

    logits = double(golden[f"{case}/input"].double())

    torch.testing.assert_close(logits, golden[f"{case}/logits_f64"], rtol=0, atol=1e-9)


def test_every_feature_on_the_way_is_the_published_one(network, golden):
    seen = {}
    hooks = [
        getattr(network.backbone, name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.update({name: (inputs, output.clone())})
        )
        for name in FEATURES
    ]
    network(golden["a/input"])
    for hook in hooks:
        hook.remove()

    for name in FEATURES:
        torch.testing.assert_close(seen[name][1], golden[f"a/feat/{name}"], rtol=0, atol=1e-5)
    upsampled = seen["conv5"][0][0]
    torch.testing.assert_close(upsampled, golden["a/feat/up5"], rtol=0, atol=1e-5)


def test_parameter_counts_are_the_published_ones(golden):
    for width, blocks, backbone, head, total in golden["meta/param_counts"].tolist():
        with torch.device("meta"):
            network = ResUNet25d(width, blocks)
        counts = [
            sum(p.numel() for p in part.parameters())
            for part in (network.backbone, network.head, network)
        ]
        assert counts == [backbone, head, total]


def test_tensor_names_and_shapes_are_those_of_published_checkpoints():
    published = json.loads((GOLDEN / "resunet25d_keys.json").read_text())["tensors"]
    with torch.device("meta"):
        state = ResUNet25d(width=32, blocks=3).state_dict()

    ours = {name: list(value.shape) for name, value in state.items()}

    assert ours == {tensor["name"]: tensor["shape"] for tensor in published}


def test_a_convolution_of_a_concatenation_is_the_sum_of_two_convolutions():
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(5, 2, 3, padding=1).double()
    upper, skip = torch.randn(2, 3, 4, 6, 5).double(), torch.randn(2, 2, 4, 6, 5).double()

    split = conv_of_concatenation(conv, upper, skip)

    torch.testing.assert_close(split, conv(torch.cat([upper, skip], 1)), rtol=0, atol=1e-12)


def test_classifying_before_the_last_enlargement_equals_classifying_after():
    torch.manual_seed(0)
    head = ResUNet25d(width=4, blocks=1).head.double()
    features = torch.randn(1, 4, 3, 5, 7).double()

    published_order = head.conv(upsample(features))

    torch.testing.assert_close(head.full_resolution(features), published_order, rtol=0, atol=1e-12)


def test_a_temperature_divides_the_logits_of_inference():
    torch.manual_seed(0)
    network, window = ResUNet25d(4, 1).requires_grad_(False), torch.randn(1, 1, 4, 16, 16)
    before, others = network(window), network.forward_deep(window)[1:]

    network.head.at_temperature(1.6)

    torch.testing.assert_close(network(window), before / 1.6)
    for now, then in zip(network.forward_deep(window)[1:], others, strict=True):
        torch.testing.assert_close(now, then)


def test_bfloat16_training_gives_a_finite_gradient_for_every_weight():
    torch.manual_seed(0)
    network = ResUNet25d(width=4, blocks=1).to(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network.forward_deep(torch.randn(2, 1, 8, 32, 48))
    sum(output.float().square().mean() for output in outputs).backward()

    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_a_window_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match=r"40x32 voxels .* multiples of 16"):
        ResUNet25d(width=2, blocks=1)(torch.zeros(1, 1, 2, 40, 32))


def test_a_large_mostly_black_window_is_normalised_exactly():
    """Against float64: torch's channels-last batch norm, used in training, is off by 0.04."""
    x = torch.full((1, 16, 24, 96, 96), -0.37)
    x[..., 30:60, 30:60] += torch.randn(24, 30, 30, generator=torch.manual_seed(0))
    exact = x.double() - x.double().mean((2, 3, 4), keepdim=True)
    exact /= (exact.square().mean((2, 3, 4), keepdim=True) + 1e-5).sqrt()

    found = InstanceNorm().eval()(x.contiguous(memory_format=MEMORY_FORMAT))

    assert (found - exact).abs().max() < 1e-5
