"""Training of the translator; resumes from its checkpoint, alone or among several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric import Fabric
from torch import Tensor

from meatus_training.errors import TrainingError
from meatus_training.runs.distributed import anyone
from meatus_training.runs.journal import Journal
from meatus_training.translation.data import SlicePairs, TranslationData, step_batches
from meatus_training.translation.journal import Meter, write_picture
from meatus_training.translation.networks import first_styled
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.state import (
    State,
    end_epoch,
    resume_state,
    save_state,
    start_state,
)
from meatus_training.translation.step import Batch, train_step

CHECKPOINT = "state.pt"

# Processes ask one another whether to stop after so many steps: each time, the GPUs wait.
ASK_EVERY = 10


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
    pairs = SlicePairs(data, settings)
    _check(data, settings, fabric.world_size)
    state = start_state(settings, fabric)
    first, epoch = resume_state(folder / CHECKPOINT, state, settings, data.fingerprint)
    length = settings.steps_per_epoch or math.ceil(len(pairs) / settings.batch)
    last = length * (settings.epochs + settings.decay_epochs)
    if first >= last:
        return Trained(state, first, finished=True)
    journal = Journal(folder, first, writes=fabric.is_global_zero)
    meter = Meter(epoch.to(fabric.device))
    batches = step_batches(pairs, range(first, last), fabric.global_rank, fabric.world_size)
    for done in range(first + 1, last + 1):
        batch, waited_s = _next_batch(batches, settings, fabric)
        translated, losses = train_step(state, batch, settings, done - 1, fabric)
        meter.add(losses, waited_s)
        stop = done == last or _told(done, fabric, should_stop)
        if stop or done % settings.log_every == 0:
            _write_line(journal, meter, state, done, done // length, say)
        if done == last or done % settings.picture_every == 0:
            write_picture(journal, done, [batch[0], translated.fake, batch[1]])
        if done % length == 0:
            end_epoch(state, meter.end_epoch())
        if fabric.is_global_zero and (stop or done % settings.save_every == 0):
            _save(folder, state, settings, data, done, meter)
        if stop:
            break
    fabric.barrier()  # whoever goes on finds the first process's checkpoint written
    journal.close()
    return Trained(state, done, finished=done == last)


def _save(
    folder: Path,
    state: State,
    settings: TranslatorSettings,
    data: TranslationData,
    done: int,
    meter: Meter,
) -> None:
    save_state(folder / CHECKPOINT, state, settings, data.fingerprint, done, meter.epoch)


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
    batches: Iterator[tuple[Tensor, Tensor, Tensor]], settings: TranslatorSettings, fabric: Fabric
) -> tuple[Batch, float]:
    """The next step's slices on the device, and the seconds that they kept it waiting."""
    asked = time.monotonic()
    source, target, styles = (part.to(fabric.device, non_blocking=True) for part in next(batches))
    return (source, target, styles if settings.styles else None), time.monotonic() - asked


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
