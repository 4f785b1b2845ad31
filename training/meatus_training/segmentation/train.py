"""train_segmenter(): from scans and settings to a network; goes on from its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric import Fabric

from meatus_training.errors import TrainingError
from meatus_training.networks import ResUNet25d
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import together
from meatus_training.segmentation.journal import Meter, write_picture
from meatus_training.segmentation.loader import Loader
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.schedule import Schedule, last_step
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import (
    Progress,
    State,
    ema_update,
    resume_state,
    save_state,
    start_state,
)
from meatus_training.segmentation.step import Stepped, train_step

CHECKPOINT = "state.pt"

# A single step may overflow; a run of them means that the training is lost.
BAD_STEPS = 20

# Below this many slices torch 2.13's bfloat16 convolutions on a processor may never end; see
# ``networks.conv_of_concatenation``.
SAFE_DEPTH = 7


@dataclass(frozen=True)
class Trained:
    """The network so far, and whether its training is over."""

    network: ResUNet25d
    step: int
    finished: bool


def train_segmenter(
    scans: Scans | Subjects,
    settings: SegmentSettings,
    folder: Path,
    fabric: Fabric,
    *,
    start: ResUNet25d | None = None,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train on ``scans`` until steps or minutes have run out, or until ``should_stop``.

    The state lies in ``folder/state.pt`` and training goes on from there; the curve is
    ``folder/curve.jsonl``. A training by minutes lets the rate run its whole course in them.
    Each of ``fabric``'s processes takes its share of every batch and the first one writes.

    Raises ``TrainingError`` where settings, scans and checkpoint do not fit one another, and
    where gradients stay infinite.
    """
    last = last_step(scans, settings)
    _check(settings, fabric)
    state = start_state(settings, fabric, start)
    progress = resume_state(folder / CHECKPOINT, state, settings, scans.fingerprint)
    schedule, loader = Schedule(progress, settings, last), Loader(scans, settings, fabric, last)
    journal = Journal(folder, progress.step, writes=fabric.is_global_zero)
    meter = Meter(fabric.device)
    for stepped in _steps(state, loader, settings, schedule, should_stop):
        meter.add(stepped, loader.waited())
        _report(journal, meter, state, settings, schedule, stepped, say)
        if schedule.step % settings.save_every == 0:
            _save(folder, state, settings, scans, schedule)
    _save(folder, state, settings, scans, schedule)
    journal.close()
    return Trained(state.average, schedule.step, schedule.over)


def _steps(
    state: State,
    loader: Loader,
    settings: SegmentSettings,
    schedule: Schedule,
    should_stop: Callable[[], bool],
) -> Iterator[Stepped]:
    """Update the network step by step; all processes stop after the same one."""
    bad = 0
    while True:
        done, told = together(state.fabric, schedule.done(), float(should_stop()))
        schedule.over = done >= 1
        if schedule.over or told:
            return
        set_rate(state, settings, schedule.step, done)
        loader.turn(schedule.step, whole=done > 1 - settings.full_field_fraction)
        stepped = train_step(state, loader, settings, loader.augment_late)
        bad = 0 if stepped.finite else bad + 1
        if bad >= BAD_STEPS:
            raise TrainingError(f"{BAD_STEPS} steps in a row without finite gradients; stopped.")
        schedule.step += 1
        if state.averages and stepped.finite:
            ema_update(state, min(settings.ema, (1 + schedule.step) / (10 + schedule.step)))
        yield stepped


def set_rate(state: State, settings: SegmentSettings, step: int, done: float) -> None:
    """Linear warm-up, then a cosine down to ``last_rate``."""
    falling = (1 + math.cos(math.pi * done)) / 2
    share = settings.last_rate + (1 - settings.last_rate) * falling
    rate = settings.learning_rate * min(1, (step + 1) / max(settings.warm_up, 1)) * share
    for group in state.optimiser.param_groups:
        group["lr"] = rate


def _check(settings: SegmentSettings, fabric: Fabric) -> None:
    if settings.batch % (settings.micro_batch * fabric.world_size):
        raise TrainingError(
            f"a batch of {settings.batch} windows, {settings.micro_batch} at once, cannot be "
            f"shared by {fabric.world_size} processes; choose a multiple."
        )
    depth = min(settings.patch[0], settings.depth)
    if fabric.device.type == "cpu" and settings.precision != "fp32" and depth < SAFE_DEPTH:
        raise TrainingError(
            f"windows of {depth} slices may hang in lower precision on a processor; "
            f"choose {SAFE_DEPTH} or more, or fp32."
        )


def _report(
    journal: Journal,
    meter: Meter,
    state: State,
    settings: SegmentSettings,
    schedule: Schedule,
    stepped: Stepped,
    say: Callable[[str], None],
) -> None:
    step = schedule.step
    if step % settings.picture_every == 0:
        write_picture(journal, step, stepped)
    if step % settings.log_every:
        return
    values = meter.read(state.fabric)
    rate = state.optimiser.param_groups[0]["lr"]
    journal.line(step, values | {"rate": rate, "seconds": schedule.seconds})
    if journal.writes:
        say(
            f"step {step}: loss {values['loss']:.3f} (Dice {values['dice']:.3f}) after "
            f"{schedule.seconds / 60:.1f} min, {values['steps_per_s']:.2f} steps/s, "
            f"{values['waiting_share']:.0%} waiting for windows"
        )


def _save(
    folder: Path,
    state: State,
    settings: SegmentSettings,
    scans: Scans | Subjects,
    schedule: Schedule,
) -> None:
    if state.fabric.is_global_zero:
        save_state(
            folder / CHECKPOINT,
            state,
            settings,
            scans.fingerprint,
            Progress(schedule.step, schedule.seconds),
        )
