"""The published numbers of CUT: networks, losses and one whole objective."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from meatus_training.translation.networks import (
    BlurDown,
    BlurUp,
    Discriminator,
    Generator,
    PatchSampler,
)
from meatus_training.translation.objective import (
    critic_loss,
    generator_loss,
    lsgan,
    patch_nce,
    translate_batch,
)
from tests.golden_files import GOLDEN

LAYERS = (0, 4, 8, 12, 16)
LEVELS = range(len(LAYERS))


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "cut.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def networks(golden):
    generator = Generator(width=4)
    sampler = PatchSampler(generator.feature_channels(LAYERS), width=32)
    together = (generator, Discriminator(width=4), sampler)
    for letter, network in zip("GDF", together, strict=True):
        prefix = f"{letter}/"
        state = {n.removeprefix(prefix): v for n, v in golden.items() if n.startswith(prefix)}
        network.load_state_dict(state, strict=True)
        network.requires_grad_(False)
    return together


def close(found, expected, **limits):
    torch.testing.assert_close(found, expected, check_dtype=False, **limits)


@pytest.mark.parametrize("layer", [BlurDown(2), BlurUp(2)], ids=["down", "up"])
def test_anti_aliased_sampling_is_the_published_one(golden, layer):
    name = "down" if isinstance(layer, BlurDown) else "up"

    close(layer(golden[f"{name}/in"]), golden[f"{name}/out"], rtol=0, atol=1e-6)


def test_filters_that_come_with_a_checkpoint_are_those_the_layers_apply(golden, networks):
    for letter, network in zip("GD", networks[:2], strict=True):
        fresh = type(network)(width=4).state_dict()
        for name in (name for name in fresh if name.endswith("filt")):
            close(fresh[name], golden[f"{letter}/{name}"], rtol=0, atol=1e-7)


def test_generator_and_discriminator_give_the_published_slices_and_logits(golden, networks):
    generator, discriminator, _ = networks
    first, odd = golden["real_A"][:1], golden["G_in_50x38"]

    close(generator(first), golden["G_out"], rtol=0, atol=1e-4)
    close(generator(odd), golden["G_out_50x38"], rtol=0, atol=1e-4)
    close(discriminator(first), golden["D_out"], rtol=0, atol=1e-4)
    close(discriminator(odd), golden["D_out_50x38"], rtol=0, atol=1e-4)


def test_contrastive_features_are_the_published_ones_on_both_ways_to_them(golden, networks):
    first = golden["real_A"][:1]
    alone = networks[0].features(first, LAYERS)
    along = networks[0].with_features(first, None, LAYERS)[1]

    for layer, feature, same in zip(LAYERS, alone, along, strict=True):
        place = tuple(golden[f"G_feat{layer}/idx"].long().T)
        moments = torch.stack([feature.mean(), feature.std(correction=0)])
        assert feature.shape == tuple(golden[f"G_feat{layer}/shape"])
        close(feature[place], golden[f"G_feat{layer}/val"], rtol=1e-4, atol=1e-4)
        close(moments, golden[f"G_feat{layer}/mean_std"], rtol=1e-3, atol=1e-4)
        assert torch.equal(feature, same)


def test_sampler_gives_the_published_vectors(golden, networks):
    features = [golden[f"F_unit/feat{i}"] for i in LEVELS]
    places = [golden[f"F_unit/ids{i}"].long() for i in LEVELS]

    for i, vectors in enumerate(networks[2](features, places)):
        close(vectors, golden[f"F_unit/out{i}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "images"), [("batch1", 1), ("batch2", 2), ("batch4", 4), ("batch2_allneg", 1)]
)
def test_patch_nce_is_the_published_one_for_every_grouping(golden, name, images):
    loss = patch_nce(golden["nce/feat_q"], golden["nce/feat_k"], images)

    close(loss, golden[f"nce/loss_{name}"], rtol=1e-4, atol=1e-6)


def test_patch_nce_has_the_published_gradient_and_none_to_the_keys(golden):
    queries = golden["nce/feat_q"].clone().requires_grad_()
    keys = golden["nce/feat_k"].clone().requires_grad_()

    patch_nce(queries, keys, 2).mean().backward()

    close(queries.grad, golden["nce/grad_q_batch2"], rtol=1e-4, atol=1e-6)
    assert keys.grad is None


def test_lsgan_is_the_published_one(golden):
    found = torch.stack([lsgan(golden["lsgan/pred"], real=real) for real in (True, False)])

    close(found, golden["lsgan/loss_real_fake"], rtol=1e-4, atol=0)


def test_a_whole_step_has_the_published_losses(golden, networks):
    generator, discriminator, _ = networks
    target = golden["real_B"]
    places = [golden[f"step/ids{i}"].long() for i in LEVELS]

    translated = translate_batch(generator, golden["real_A"], target, None, LAYERS)
    critic = critic_loss(discriminator, translated, target, None)
    ours = generator_loss(networks, translated, None, LAYERS, (places, places), 0.07)

    close(ours.nce, golden["step/nce_per_layer_A"], rtol=1e-4, atol=0)
    close(ours.identity, golden["step/nce_per_layer_B"], rtol=1e-4, atol=0)
    adversarial, nce, identity = ours.adversarial, ours.nce.mean(), ours.identity.mean()
    six = [critic.fake, critic.real, critic.total, adversarial, nce, identity, ours.total]
    close(torch.stack(six), golden["step/losses"], rtol=1e-4, atol=0)


def test_without_the_identity_loss_the_target_slices_are_left_out(golden, networks):
    places = [golden[f"step/ids{i}"].long() for i in LEVELS]
    source, target = golden["real_A"], golden["real_B"]

    both = translate_batch(networks[0], source, target, None, LAYERS)
    translated = translate_batch(networks[0], source, target, None, LAYERS, identity=False)
    ours = generator_loss(networks, translated, None, LAYERS, (places, places), 0.07)

    assert translated.same is None
    close(translated.fake, both.fake, rtol=1e-4, atol=1e-5)
    close(ours.nce, golden["step/nce_per_layer_A"], rtol=1e-4, atol=0)
    assert ours.total == ours.adversarial + ours.nce.mean() / 2


def test_full_size_networks_have_the_published_numbers_of_weights_and_operations(golden):
    with torch.device("meta"):
        generator, discriminator = Generator(), Discriminator()
        sampler = PatchSampler(generator.feature_channels(LAYERS))
        with FlopCounterMode(display=False) as counter:
            generator(torch.zeros(1, 1, 256, 256))
    networks = (generator, discriminator, sampler)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    # Published as transposed convolutions of 4 x 4 over grids padded by one on each side.
    doubling = 2 * 16 * (256 * 66**2 + 128 * 130**2)

    assert [1, *counts] == golden["meta/param_counts"][0].tolist()
    assert counter.get_total_flops() + doubling == int(golden["meta/G_flops_1x1x256x256"])
