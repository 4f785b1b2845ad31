"""Edges and labelled structures that the generator is held to."""

from dataclasses import replace

import pytest
import torch

from meatus_training.translation.data import Pairs
from meatus_training.translation.objective import translate_batch
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.state import start_state
from meatus_training.translation.structures import edge_loss, edges, structure_loss
from meatus_training.translation.train import train_step, train_translation
from tests.meatus_training.translation.runs import CPU, TINY, curve, silent, toy_data, weights

BESIDE_CUT = replace(
    TINY,
    neighbours=1,
    bright_cochlea=0.5,
    dark_tumour=0.3,
    edge=0.5,
    head=0.5,
    segmenter=0.5,
    segmenter_width=2,
    segmenter_from=2,
)


def step_of(values):
    """A slice (1, 1, 8, 8) whose left and right half have two values."""
    image = torch.full((1, 1, 8, 8), float(values[0]))
    image[..., 4:] = values[1]
    return image


def test_an_edge_is_sobels_gradient_against_the_slices_mean_square():
    # Two columns of eight touch the step, each with the same gradient g; the mean is g^2 / 4.
    found = edges(step_of((-0.5, 0.5)))[0, 0, 4]

    assert found[3:5].tolist() == pytest.approx([1 / (1 + 1 / 4)] * 2)
    assert found[[0, 1, 6, 7]].tolist() == pytest.approx([0] * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("fake", "loss"),
    [
        ((-0.5, 0.5), 0),
        ((0.5, -0.5), 0),  # the other contrast
        ((0.1, 0.2), 0),  # a weak one
        ((0.3, 0.3), 0.3),  # none: a flat slice has half an edge everywhere, and 0.8 is wanted
    ],
)
def test_only_an_edge_that_is_lost_costs_something(fake, loss):
    source = step_of((-0.5, 0.5))

    assert float(edge_loss(step_of(fake), source)) == pytest.approx(loss, abs=2e-3)


def test_edges_that_the_translation_adds_where_the_source_is_flat_cost_little():
    source, added, moved = step_of((-0.5, 0.5)), step_of((-0.5, 0.5)), step_of((-0.5, 0.5))
    added[..., 0] = 0.5
    moved = moved.roll(3, dims=-1)

    assert edge_loss(added, source) < 0.3 * edge_loss(moved, source)


def one_loss(step, **changes):
    settings = replace(TINY, segmenter_width=2, **changes)
    state = start_state(settings, CPU)
    rng = torch.Generator().manual_seed(0)
    source, target = (torch.rand(2, settings.channels, 32, 32, generator=rng) for _ in range(2))
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 8:24, 8:24] = 3
    translated = translate_batch(state.generator, source, target, None, settings.layers)
    loss = structure_loss(state.segmenters, translated, source, labels, settings, step)
    if loss.total.requires_grad:
        loss.total.backward()
    return state, loss


def moved(network):
    return any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


@pytest.mark.parametrize("name", ["edge", "head", "segmenter"])
def test_each_loss_alone_moves_the_generator_by_its_weight(name):
    state, loss = one_loss(0, **{name: 0.25})

    assert moved(state.generator)
    assert loss.total == 0.25 * getattr(loss, name) > 0
    assert all(getattr(loss, other) == 0 for other in {"edge", "head", "segmenter"} - {name})
    assert moved(state.segmenters) == (name != "edge")


def test_without_weights_there_is_no_loss_and_no_network():
    state, loss = one_loss(0)

    assert loss.total == 0
    assert list(state.segmenters.parameters()) == []
    assert "segmenters" not in dict(state.parts())


def test_the_segmenter_learns_before_the_generator_hears_of_it():
    early, late = (one_loss(step, segmenter=1.0, segmenter_from=5)[0] for step in (4, 5))

    assert not moved(early.generator)
    assert moved(early.segmenters)
    assert moved(late.generator)


def test_the_head_finds_in_time_what_the_labels_say():
    settings = replace(TINY, head=1.0, learning_rate=0.02)
    state = start_state(settings, CPU)
    source = torch.full((2, 1, 32, 32), -0.5)
    source[:, :, 8:24, 8:24] = 0.5
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 8:24, 8:24] = 3
    batch = Pairs(source, torch.rand(2, 1, 32, 32), None, labels)

    losses = [float(train_step(state, batch, settings, step, CPU)[1][6]) for step in range(60)]

    assert losses[-1] < 0.6 * losses[0]


def test_with_all_of_it_a_stopped_run_ends_as_the_unbroken_one(tmp_path):
    data = toy_data(styles=(0, 1, 1))
    for labels in data.labels:
        labels[:, 8:20, 8:20], labels[:, 22:30, 22:30] = 1, 3
    settings = replace(BESIDE_CUT, styles=2, blocks=9)
    whole = train_translation(data, settings, tmp_path / "whole", CPU, silent)
    asked = iter(range(9))
    train_translation(data, settings, tmp_path / "parts", CPU, silent, lambda: next(asked) == 3)

    parts = train_translation(data, settings, tmp_path / "parts", CPU, silent)

    assert torch.equal(weights(whole), weights(parts))
    for (name, one), other in zip(
        whole.state.segmenters.named_parameters(),
        parts.state.segmenters.parameters(),
        strict=True,
    ):
        assert torch.equal(one, other), name
    last = curve(tmp_path / "parts")[-1]
    assert all(last[name] > 0 for name in ("edge", "head", "segmenter"))


def test_slices_that_the_segmenter_cannot_halve_are_refused():
    with pytest.raises(ValueError, match="size: 72 must be a multiple of 16"):
        TranslatorSettings(size=72, segmenter=1.0)


def test_grain_beside_an_edge_counts_as_flat():
    source = step_of((-0.5, 0.5))
    grainy = source + 0.05 * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))

    assert edges(grainy)[0, 0, :, [0, 1, 6, 7]].max() < 0.2
    assert edge_loss(source, grainy) < 0.1
