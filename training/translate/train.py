"""Training of the translator; resumes from its checkpoint, alone or among several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from training.errors import TrainingError
from training.translate.config import TranslateConfig
from training.translate.data import SlicePairs, TranslationData, step_batches
from training.translate.journal import Journal, Meter
from training.translate.networks import first_styled
from training.translate.state import State, end_epoch, resume_state, save_state, start_state
from training.translate.step import Batch, train_step
from training.translate.team import Team, this_team

CHECKPOINT = "state.pt"


def train_translation(
    data: TranslationData,
    config: TranslateConfig,
    folder: Path,
    device: torch.device,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> State:
    """Train for ``config.epochs`` and ``decay_epochs``, or until ``should_stop``.

    The state lies in ``folder/state.pt`` and training goes on from there; the curve is
    ``folder/curve.jsonl``. Where torch.distributed runs, each process takes its share of every
    batch and the first one writes. Raises ``TrainingError`` where the settings do not fit the
    data or the checkpoint, and where a loss or a weight is no longer finite.
    """
    team = this_team()
    pairs = SlicePairs(data, config)
    _check(data, config, team)
    state = start_state(config, device)
    first, epoch = resume_state(folder / CHECKPOINT, state, config)
    length = config.steps_per_epoch or math.ceil(len(pairs) / config.batch)
    last = length * (config.epochs + config.decay_epochs)
    journal = Journal(folder, first, writes=team.rank == 0)
    meter = Meter(epoch.to(device))
    batches = step_batches(pairs, range(first, last), team.rank, team.world)
    for done in range(first + 1, last + 1):
        asked = time.monotonic()
        batch = _on_device(next(batches), config, device)
        waited = time.monotonic() - asked
        translated, losses = train_step(state, batch, config, done - 1, team)
        meter.add(losses, waited)
        stop = _stops(done, config, team, should_stop, device)
        if done % config.log_every == 0 or done == last or stop:
            _write_line(journal, meter, state, done, done // length, say)
        if done % config.picture_every == 0 or done == last:
            journal.picture(done, [batch[0], translated.fake, batch[1]])
        if done % length == 0:
            end_epoch(state, meter.end_epoch())
        if team.rank == 0 and (done % config.save_every == 0 or done == last or stop):
            save_state(folder / CHECKPOINT, state, config, done, meter.epoch)
        if stop:
            break
    journal.close()
    return state


def _check(data: TranslationData, config: TranslateConfig, team: Team) -> None:
    if config.batch % team.world:
        raise TrainingError(
            f"a batch of {config.batch} cannot be shared by {team.world} processes; "
            "choose a multiple."
        )
    sites = set(data.styles)
    if config.styles and not (sites and sites <= set(range(config.styles))):
        raise TrainingError(
            f"{config.styles} styles asked for, but the target scans' sites are "
            f"{sorted(sites) or 'not given'}; number them from 0 to {config.styles - 1}."
        )
    if config.styles and max(config.layers) >= first_styled(config.blocks):
        raise TrainingError(
            f"features of layer {max(config.layers)} would depend on the style; name layers "
            f"below {first_styled(config.blocks)}, or more than {config.blocks} blocks."
        )


def _on_device(
    batch: tuple[Tensor, Tensor, Tensor], config: TranslateConfig, device: torch.device
) -> Batch:
    source, target, styles = (part.to(device, non_blocking=True) for part in batch)
    return source, target, styles if config.styles else None


def _stops(
    done: int,
    config: TranslateConfig,
    team: Team,
    should_stop: Callable[[], bool],
    device: torch.device,
) -> bool:
    """All processes must stop after the same step, so that several ask one another, rarely."""
    if team.world == 1:
        return should_stop()
    return done % config.log_every == 0 and team.any(should_stop(), device)


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
