"""Training of the translator; resumes from its checkpoint, alone or among several processes.

A step updates the discriminator once, then the generator and the patch sampler.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn

from meatus_training.errors import TrainingError
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import anyone, average_gradients, mean, told_of_memory
from meatus_training.translation.data import Pairs, SlicePairs, TranslationData, step_batches
from meatus_training.translation.epochs import contact_sheet, fixed_pairs, keep, measure, parted
from meatus_training.translation.networks import first_styled
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
from meatus_training.translation.state import (
    State,
    end_epoch,
    resume_state,
    save_state,
    start_state,
)
from meatus_training.translation.structures import StructureLoss, structure_loss

CHECKPOINT = "state.pt"

# Processes ask one another whether to stop after so many steps: each time, the GPUs wait.
ASK_EVERY = 10

LOSSES = (
    *("critic_fake", "critic_real", "adversarial", "nce", "identity"),
    *("edge", "head", "segmenter", "generator"),
)


@dataclass(frozen=True)
class Trained:
    """The networks so far, and whether their training is over."""

    state: State
    step: int
    finished: bool


def train_translation(
    data: TranslationData,
    settings: TranslatorSettings,
    folder: Path,
    fabric: Fabric,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train for ``settings.epochs`` and ``decay_epochs``, or until ``should_stop``.

    The state lies in ``folder/state.pt`` and training goes on from there; the curve is
    ``folder/curve.jsonl``. Each of ``fabric``'s processes takes its share of every batch, and
    the first one writes. Raises ``TrainingError`` where the settings do not fit the data or the
    checkpoint, and where a loss or a weight is no longer finite.
    """
    trained_on, held_out = parted(data, settings.held_out)
    pairs = SlicePairs(trained_on, settings)
    measured_on = fixed_pairs(held_out, settings)
    _check(data, settings, fabric.world_size)
    state = start_state(settings, fabric)
    first = resume_state(folder / CHECKPOINT, state, settings, data.fingerprint)
    length = settings.steps_per_epoch or math.ceil(len(pairs) / settings.batch)
    last = length * (settings.epochs + settings.decay_epochs)
    if first >= last:
        return Trained(state, first, finished=True)
    journal = Journal(folder, first, writes=fabric.is_global_zero)
    meter = Meter(fabric.device)
    batches = step_batches(pairs, range(first, last), fabric.global_rank, fabric.world_size)
    for done in range(first + 1, last + 1):
        batch, waited_s = _next_batch(batches, settings, fabric)
        with told_of_memory("train with more --devices, which share the batch"):
            translated, losses = train_step(state, batch, settings, done - 1, fabric)
        meter.add(losses, waited_s)
        stop = done == last or _told(done, fabric, should_stop)
        if stop or done % settings.log_every == 0:
            _write_line(journal, meter, state, done, done // length, say)
        if done == last or done % settings.picture_every == 0:
            write_picture(journal, done, [batch.source, translated.fake, batch.target])
        if done % length == 0:
            _end_epoch(state, measured_on, settings, folder, done // length, journal, fabric)
        if fabric.is_global_zero and (stop or done % settings.save_every == 0):
            save_state(folder / CHECKPOINT, state, settings, data.fingerprint, done)
        if stop:
            break
    fabric.barrier()  # whoever goes on finds the first process's checkpoint written
    journal.close()
    return Trained(state, done, finished=done == last)


def _end_epoch(
    state: State,
    held_out: SlicePairs,
    settings: TranslatorSettings,
    folder: Path,
    number: int,
    journal: Journal,
    fabric: Fabric,
) -> None:
    """Measure the translator, let the rates follow, and keep it where it is due."""
    due = settings.keep_epochs > 0 and number % settings.keep_epochs == 0
    if settings.schedule == "linear" and not due:
        end_epoch(state, 0.0)  # which follows the number alone
        return
    measured, picture = measure(state, held_out, settings, fabric)
    end_epoch(state, measured.content)
    if due and journal.writes:
        keep(folder, number, state, measured, picture, settings)


def _check(data: TranslationData, settings: TranslatorSettings, processes: int) -> None:
    if settings.batch % processes:
        raise TrainingError(
            f"a batch of {settings.batch} cannot be shared by {processes} processes; "
            "choose a multiple."
        )
    sites = set(data.styles)
    if settings.styles and not (sites and sites <= set(range(settings.styles))):
        raise TrainingError(
            f"{settings.styles} styles asked for, but the target scans' sites are "
            f"{sorted(sites) or 'not given'}; number them from 0 to {settings.styles - 1}."
        )
    if settings.styles and max(settings.layers) >= first_styled(settings.blocks):
        raise TrainingError(
            f"features of layer {max(settings.layers)} would depend on the style; name layers "
            f"below {first_styled(settings.blocks)}, or more than {settings.blocks} blocks."
        )


def _next_batch(
    batches: Iterator[Pairs], settings: TranslatorSettings, fabric: Fabric
) -> tuple[Pairs, float]:
    """The next step's slices on the device, and the seconds that they kept it waiting."""
    asked = time.monotonic()
    source, target, styles, labels = (
        part.to(fabric.device, non_blocking=True) for part in next(batches) if part is not None
    )
    batch = Pairs(source, target, styles if settings.styles else None, labels)
    return batch, time.monotonic() - asked


def _told(done: int, fabric: Fabric, should_stop: Callable[[], bool]) -> bool:
    """Whether to stop now; all processes do so after the same step."""
    if fabric.world_size == 1:
        return should_stop()
    return done % ASK_EVERY == 0 and anyone(fabric, should_stop())


def _write_line(
    journal: Journal,
    meter: Meter,
    state: State,
    done: int,
    epochs: int,
    say: Callable[[str], None],
) -> None:
    values = meter.read()
    if not all(math.isfinite(value) for value in values.values()):
        raise TrainingError(
            f"step {done}: a loss is no longer finite; start again from the last checkpoint "
            "with a lower rate or fp32."
        )
    rates = [o.param_groups[0]["lr"] for o in (state.generator_optimiser, state.critic_optimiser)]
    values |= {"epochs": epochs, "rate": rates[0], "critic_rate": rates[1]}
    journal.line(done, values)
    if journal.writes:
        say(
            f"step {done}: generator {values['generator']:.3f}, contrast {values['nce']:.3f}, "
            f"{values['steps_per_s']:.2f} steps/s, {values['waiting_share']:.0%} waiting for slices"
        )


class Meter:
    """Sums since the journal's last line, kept on the device: to read them is to wait for it."""

    def __init__(self, device: torch.device) -> None:
        self.losses = torch.zeros(len(LOSSES), device=device)
        self._start()

    def _start(self) -> None:
        self.losses.zero_()
        self.steps, self.waited_s, self.started_s = 0, 0.0, time.monotonic()

    def add(self, losses: Tensor, waited_s: float) -> None:
        """Count a step with ``losses`` (9,) that waited so long for its slices."""
        self.losses += losses
        self.steps += 1
        self.waited_s += waited_s

    def read(self) -> dict[str, float]:
        """Mean losses, steps per second, and the share of the time spent waiting for slices."""
        values = dict(zip(LOSSES, (self.losses / self.steps).tolist(), strict=True))
        spent = time.monotonic() - self.started_s
        values |= {"steps_per_s": self.steps / spent, "waiting_share": self.waited_s / spent}
        self._start()
        return values


def write_picture(journal: Journal, step: int, images: list[Tensor]) -> None:
    """Columns of slices (N, C, H, W) in [-1, 1], one row for each of the first pairs."""
    if journal.writes:
        journal.picture(step, "source, translated, target", contact_sheet(images))


def train_step(
    state: State, batch: Pairs, settings: TranslatorSettings, step: int, fabric: Fabric
) -> tuple[Translated, Tensor]:
    """The translated batch, and the losses (9,) in the order of ``LOSSES``.

    Positions of the patches depend on the seed and the step alone.
    """
    source, target, styles, labels = batch
    seed = np.random.SeedSequence((settings.seed, step)).generate_state(1, np.uint64)[0]
    rng = torch.Generator().manual_seed(int(seed))
    with fabric.autocast():
        translated = translate_batch(
            state.generator, source, target, styles, settings.layers, identity=settings.identity > 0
        )
        critic = critic_loss(state.critic, translated, target, styles)
    _update(fabric, state.critic, state.critic_optimiser, critic.total, settings.clip)
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
    kept = structure_loss(state.segmenters, translated, source, labels, settings, step)
    total = ours.total + kept.total
    _update(fabric, state.generator, state.generator_optimiser, total, settings.clip)
    return translated, mean(fabric, _numbers(critic, ours, kept))


def _numbers(critic: CriticLoss, ours: GeneratorLoss, kept: StructureLoss) -> Tensor:
    parts = [critic.fake, critic.real, ours.adversarial, ours.nce.mean(), ours.identity.mean()]
    parts += [kept.edge, kept.head, kept.segmenter, ours.total + kept.total]
    return torch.stack(parts).detach()


def _update(
    fabric: Fabric, network: nn.Module, optimiser: _FabricOptimizer, loss: Tensor, clip: float
) -> None:
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    average_gradients(fabric, [p for group in optimiser.param_groups for p in group["params"]])
    if clip:  # over all that the optimiser moves, of which ``network`` is a part
        fabric.clip_gradients(network, optimiser, max_norm=clip, error_if_nonfinite=False)
    optimiser.step()


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through ``network`` but are not worked out for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
