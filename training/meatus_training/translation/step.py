"""One update of the discriminator, then one of the generator and the patch sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from meatus_training.runs.distributed import average_gradients, mean
from meatus_training.translation.objective import (
    CriticLoss,
    GeneratorLoss,
    Translated,
    critic_loss,
    draw_places,
    generator_loss,
    translate_batch,
)
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.state import State

Batch = tuple[Tensor, Tensor, Tensor | None]  # source, target (N, 1, size, size), styles (N,)


def train_step(
    state: State, batch: Batch, settings: TranslatorSettings, step: int, fabric: Fabric
) -> tuple[Translated, Tensor]:
    """The translated batch, and the losses (6,) in the order of ``journal.LOSSES``.

    Positions of the patches depend on the seed and the step alone.
    """
    source, target, styles = batch
    seed = np.random.SeedSequence((settings.seed, step)).generate_state(1, np.uint64)[0]
    rng = torch.Generator().manual_seed(int(seed))
    with fabric.autocast():
        translated = translate_batch(
            state.generator, source, target, styles, settings.layers, identity=settings.identity > 0
        )
        critic = critic_loss(state.critic, translated, target, styles)
    _update(fabric, state.critic_optimiser, critic.total)
    places = draw_places(translated, settings.patches, rng)
    with fabric.autocast(), _frozen(state.critic):
        ours = generator_loss(
            state.networks,
            translated,
            styles,
            settings.layers,
            places,
            settings.temperature,
            settings.contrast,
            settings.identity,
        )
    _update(fabric, state.generator_optimiser, ours.total)
    return translated, mean(fabric, _numbers(critic, ours))


def _numbers(critic: CriticLoss, ours: GeneratorLoss) -> Tensor:
    nce, identity = ours.nce.mean(), ours.identity.mean()
    parts = [critic.fake, critic.real, ours.adversarial, nce, identity, ours.total]
    return torch.stack(parts).detach()


def _update(fabric: Fabric, optimiser: _FabricOptimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    average_gradients(fabric, [p for group in optimiser.param_groups for p in group["params"]])
    optimiser.step()


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through ``network`` but are not worked out for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
