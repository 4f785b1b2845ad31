"""One update of the discriminator, then one of the generator and the patch sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from training.translate.config import TranslateConfig
from training.translate.objective import (
    CriticLoss,
    GeneratorLoss,
    Translated,
    critic_loss,
    draw_places,
    generator_loss,
    translate_batch,
)
from training.translate.state import State
from training.translate.team import Team

Batch = tuple[Tensor, Tensor, Tensor | None]  # source, target (N, 1, size, size), styles (N,)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def train_step(
    state: State, batch: Batch, config: TranslateConfig, step: int, team: Team
) -> tuple[Translated, Tensor]:
    """The translated batch, and the losses (6,) in the order of ``journal.LOSSES``.

    Positions of the patches depend on the seed and the step alone.
    """
    source, target, styles = batch
    seed = np.random.SeedSequence((config.seed, step)).generate_state(1, np.uint64)[0]
    draw = torch.Generator().manual_seed(int(seed))
    with autocast(source.device, config.precision):
        translated = translate_batch(state.generator, source, target, styles, config.layers)
        critic = critic_loss(state.critic, translated, target, styles)
    _update(state, state.critic_optimiser, critic.total, team)
    places = draw_places(translated, config.patches, draw)
    with autocast(source.device, config.precision), _frozen(state.critic):
        ours = generator_loss(
            state.networks, translated, styles, config.layers, places, config.temperature
        )
    _update(state, state.generator_optimiser, ours.total, team)
    state.scaler.update()
    return translated, team.mean(_numbers(critic, ours))


def _numbers(critic: CriticLoss, ours: GeneratorLoss) -> Tensor:
    nce, identity = ours.nce.mean(), ours.identity.mean()
    parts = [critic.fake, critic.real, ours.adversarial, nce, identity, ours.total]
    return torch.stack(parts).detach()


def _update(state: State, optimiser: torch.optim.Adam, loss: Tensor, team: Team) -> None:
    optimiser.zero_grad(set_to_none=True)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    team.average_gradients([p for group in optimiser.param_groups for p in group["params"]])
    state.scaler.step(optimiser)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Lower precision for convolutions on ``device``; nothing changes for "fp32"."""
    lower = precision != "fp32"
    return torch.autocast(device.type, DTYPES[precision] if lower else None, enabled=lower)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through ``network`` but are not worked out for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
