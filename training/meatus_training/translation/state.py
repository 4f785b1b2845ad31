"""All that changes while a translator trains: made, saved whole, and read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import Precision
from lightning.fabric.wrappers import _FabricOptimizer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from meatus_training.errors import TrainingError
from meatus_training.runs.checkpoints import (
    check_same_scans,
    check_same_settings,
    read_state,
    write_state,
)
from meatus_training.settings_files import settings_from
from meatus_training.translation.networks import Discriminator, Generator, PatchSampler, initialise
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.structures import Segmenters

Schedule = LambdaLR | ReduceLROnPlateau
Network = TypeVar("Network", bound=nn.Module)

# Settings that may change between two starts of one training without changing its result.
FREE = ("workers", "save_every", "log_every", "picture_every", "keep_epochs")


@dataclass(frozen=True)
class State:
    """The networks, and what moves them. Their contents change; the objects stay."""

    generator: Generator
    critic: Discriminator
    sampler: PatchSampler
    segmenters: Segmenters
    generator_optimiser: _FabricOptimizer  # of the sampler and the segmenters too
    critic_optimiser: _FabricOptimizer
    schedules: tuple[Schedule, Schedule]
    precision: Precision  # holds what float16 multiplies losses by

    @property
    def networks(self) -> tuple[Generator, Discriminator, PatchSampler]:
        return self.generator, self.critic, self.sampler

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Name and object of everything that has a state to keep."""
        yield "generator", self.generator
        yield "critic", self.critic
        yield "sampler", self.sampler
        if any(True for _ in self.segmenters.parameters()):
            yield "segmenters", self.segmenters
        yield "generator_optimiser", self.generator_optimiser.optimizer
        yield "critic_optimiser", self.critic_optimiser.optimizer
        yield "generator_schedule", self.schedules[0]
        yield "critic_schedule", self.schedules[1]
        yield "precision", self.precision


def start_state(settings: TranslatorSettings, fabric: Fabric) -> State:
    """Fresh networks, drawn from the seed alone, on the device of ``fabric``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        generator = build_generator(settings)
        has_norm = settings.critic_norm == "instance"
        critic = channels_last(
            Discriminator(settings.critic_width, settings.styles, settings.channels, norm=has_norm)
        )
        channels = generator.feature_channels(settings.layers)
        sampler = PatchSampler(channels, settings.sampler_width)
        for network in (generator, critic, sampler):
            initialise(network, settings.initialisation)
            network.to(fabric.device)
        segmenters = Segmenters(settings).to(fabric.device)  # as torch draws them
    learning = nn.ModuleList([generator, sampler, segmenters])
    optimiser = _adam(learning, settings.learning_rate, settings)
    critic_optimiser = _adam(critic, settings.critic_learning_rate, settings)
    schedules = _schedule(optimiser, settings), _schedule(critic_optimiser, settings)
    ours, critics = (fabric.setup_optimizers(one) for one in (optimiser, critic_optimiser))
    assert isinstance(ours, _FabricOptimizer)
    assert isinstance(critics, _FabricOptimizer)
    precision = fabric.strategy.precision
    return State(generator, critic, sampler, segmenters, ours, critics, schedules, precision)


def build_generator(settings: TranslatorSettings) -> Generator:
    """The generator that ``settings`` describes, its weights still to be set."""
    return channels_last(
        Generator(settings.width, settings.blocks, settings.styles, settings.channels)
    )


def channels_last(network: Network) -> Network:
    """``network``, which gains a fifth on a processor that way; GPUs like it best, too."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def end_epoch(state: State, loss: float) -> None:
    """Let both rates follow the epoch: its number, or the contrastive loss measured after it."""
    for schedule in state.schedules:
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(loss)
        else:
            schedule.step()


def save_state(
    file: Path, state: State, settings: TranslatorSettings, scans: str, step: int
) -> None:
    """Write everything; the file appears whole or not at all.

    ``scans`` is the fingerprint of what is trained on. Raises ``TrainingError`` where a weight is
    no longer finite, so that such a state never takes the place of a good one, and where the disk
    refuses.
    """
    for name, network in state.parts():
        if isinstance(network, nn.Module) and not all(
            bool(p.isfinite().all()) for p in network.parameters()
        ):
            raise TrainingError(
                f"step {step}: weights of the {name} are no longer finite; "
                f"start again from {file} with a lower rate or fp32."
            )
    content = {name: part.state_dict() for name, part in state.parts()}
    content |= {"config": settings.as_dict(), "scans": scans, "step": step}
    write_state(file, content)


def resume_state(file: Path, state: State, settings: TranslatorSettings, scans: str) -> int:
    """Fill ``state`` from ``file``: the next step.

    Step 0 where there is no file. Raises ``TrainingError`` where it is of other settings or
    scans.
    """
    if not file.exists():
        return 0
    content = read_state(file)
    other = "another working folder"
    then = settings_from(content["config"], TranslatorSettings)
    check_same_settings(file, then.as_dict(), settings.as_dict(), FREE, other)
    check_same_scans(file, content["scans"], scans, other)
    for name, part in state.parts():
        if content[name]:  # only float16 has a factor to keep
            part.load_state_dict(content[name])
    return int(content["step"])


def load_generator(file: Path) -> tuple[Generator, TranslatorSettings]:
    """The trained generator of a checkpoint, ready to translate, and its settings."""
    if not file.exists():
        raise TrainingError(f"{file} is not there; train the translation first.")
    content = read_state(file)
    settings = settings_from(content["config"], TranslatorSettings)
    generator = build_generator(settings)
    generator.load_state_dict(content["generator"])
    return generator.eval().requires_grad_(False), settings


def _adam(network: nn.Module, rate: float, settings: TranslatorSettings) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), rate, betas=settings.betas, weight_decay=settings.weight_decay
    )


def _schedule(optimiser: torch.optim.Adam, settings: TranslatorSettings) -> Schedule:
    if settings.schedule == "plateau":
        return ReduceLROnPlateau(
            optimiser,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            threshold=settings.plateau_threshold,
            min_lr=settings.plateau_floor * optimiser.param_groups[0]["lr"],
        )
    full, decay = settings.epochs, settings.decay_epochs
    return LambdaLR(optimiser, lambda epoch: 1 - max(0, epoch + 1 - full) / (decay + 1))
