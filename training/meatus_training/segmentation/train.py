"""train_segmenter(): from scans and settings to a network; goes on from its checkpoint.

The journal gets mean losses and pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from meatus_training.errors import TrainingError
from meatus_training.hard_examples import IGNORE
from meatus_training.networks import ResUNet25d
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import together, told_of_memory
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import (
    Progress,
    State,
    ema_update,
    resume_state,
    save_state,
    start_state,
)
from meatus_training.segmentation.step import (
    Schedule,
    Stepped,
    fitting_micro_batch,
    last_step,
    pass_alone,
    set_rate,
    train_step,
)
from meatus_training.segmentation.windows import Loader

CHECKPOINT = "state.pt"

# A single step may overflow; a run of them means that the training is lost.
BAD_STEPS = 20

# Below this many slices torch 2.13's bfloat16 convolutions on a processor may never end; see
# ``networks.conv_of_concatenation``.
SAFE_DEPTH = 7

SHOWN = 4  # windows in a picture

# Red, green, blue as the challenge's pages show them; grey where nothing is known.
COLOURS = {1: (230, 60, 60), 2: (60, 200, 60), 3: (70, 110, 255), IGNORE: (128, 128, 128)}


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
    keep: Callable[[int, ResUNet25d], None] = lambda _step, _network: None,
) -> Trained:
    """Train on ``scans`` until steps or minutes have run out, or until ``should_stop``.

    The state lies in ``folder/state.pt`` and training goes on from there; the curve is
    ``folder/curve.jsonl``. A training by minutes lets the rate run its whole course in them.
    Each of ``fabric``'s processes takes its share of every batch and the first one writes.
    ``keep`` gets the network so far at each step where ``settings`` want one kept.

    Raises ``TrainingError`` where settings, scans and checkpoint do not fit one another, and
    where gradients stay infinite.
    """
    last = last_step(scans, settings)
    _check(settings, fabric)
    state = start_state(settings, fabric, start)
    progress = resume_state(folder / CHECKPOINT, state, settings, scans.fingerprint)
    run = _with_micro_batch(state, scans, settings, say)
    schedule, loader = Schedule(progress, run, last), Loader(scans, run, fabric, last)
    journal = Journal(folder, progress.step, writes=fabric.is_global_zero)
    meter = Meter(fabric.device)
    for stepped in _steps(state, loader, run, schedule, should_stop):
        meter.add(stepped, loader.waited())
        _report(journal, meter, state, settings, schedule, stepped, say)
        if schedule.step % settings.save_every == 0:
            _save(folder, state, settings, scans, schedule)
        if settings.keep_every and schedule.step % settings.keep_every == 0:
            keep(schedule.step, state.average)
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
        with told_of_memory("begin anew with a smaller micro_batch in segment.yaml"):
            stepped = train_step(state, loader, settings, loader.augment_late)
        bad = 0 if stepped.finite else bad + 1
        if bad >= BAD_STEPS:
            raise TrainingError(f"{BAD_STEPS} steps in a row without finite gradients; stopped.")
        schedule.step += 1
        if state.averages and stepped.finite:
            ema_update(state, min(settings.ema, (1 + schedule.step) / (10 + schedule.step)))
        yield stepped


def _with_micro_batch(
    state: State,
    scans: Scans | Subjects,
    settings: SegmentSettings,
    say: Callable[[str], None],
) -> SegmentSettings:
    """The settings with as many windows in a pass as memory holds, where they leave it open."""
    if settings.micro_batch:
        return settings
    size = settings.patch
    if not isinstance(scans, Subjects) and settings.full_field_fraction:
        size = (settings.depth, *scans.scan(0).voxels.shape[1:])
    attempt = partial(pass_alone, state, settings, size)
    return replace(
        settings,
        micro_batch=fitting_micro_batch(settings.batch, state.fabric, attempt, say),
    )


def _check(settings: SegmentSettings, fabric: Fabric) -> None:
    at_once = max(settings.micro_batch, 1)
    if settings.batch % (at_once * fabric.world_size):
        raise TrainingError(
            f"a batch of {settings.batch} windows, {at_once} at once, cannot be "
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


class Meter:
    """Sums since the last line of the curve, kept on the device: to read them is to wait for it."""

    def __init__(self, device: torch.device) -> None:
        self.losses = torch.zeros(2, device=device)
        self._start()

    def _start(self) -> None:
        self.losses.zero_()
        self.steps, self.skipped, self.waited_s = 0, 0, 0.0
        self.started_s = time.monotonic()

    def add(self, stepped: Stepped, waited_s: float) -> None:
        """Count a step that waited so long for its windows."""
        if stepped.finite:
            self.losses += stepped.losses
        else:
            self.skipped += 1
        self.steps += 1
        self.waited_s += waited_s

    def read(self, fabric: Fabric) -> dict[str, float]:
        """Mean losses over all processes, steps per second, the share of the time waiting."""
        means = fabric.all_reduce(self.losses / max(self.steps - self.skipped, 1))
        assert isinstance(means, Tensor)
        entropy, dice = means.tolist()
        spent = max(time.monotonic() - self.started_s, 1e-9)
        values = {
            "loss": entropy + dice,
            "entropy": entropy,
            "dice": dice,
            "skipped": float(self.skipped),
            "steps_per_s": self.steps / spent,
            "waiting_share": self.waited_s / spent,
        }
        self._start()
        return values


def write_picture(journal: Journal, step: int, stepped: Stepped) -> None:
    """The slice of each window that shows most: the scan, its labels, what the network says."""
    if journal.writes:
        shown = (stepped.images[:SHOWN], stepped.labels[:SHOWN], stepped.found[:SHOWN])
        journal.picture(step, "scan, labels, network", contact_sheet(*shown))


def contact_sheet(images: Tensor, labels: Tensor, found: Tensor) -> NDArray[np.uint8]:
    """(N Y, 3 X, 3) colours from images (N, 1, Z, Y, X) and two label maps (N, Z, Y, X)."""
    rows = []
    for image, truth, guess in zip(images[:, 0], labels, found, strict=True):
        shown = int(((truth != 0) & (truth != IGNORE)).sum((1, 2)).argmax())
        unit = (image[shown].float().nan_to_num().clamp(-1, 1) + 1) * 127.5
        grey = unit.cpu().numpy().round().astype(np.uint8)
        parts = [_coloured(grey, part[shown].cpu().numpy()) for part in (truth, guess)]
        rows.append(np.hstack([np.repeat(grey[..., None], 3, axis=2), *parts]))
    return np.vstack(rows)


def _coloured(grey: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``grey`` (Y, X) with the structures laid over it, half transparent: (Y, X, 3)."""
    picture = np.repeat(grey[..., None], 3, axis=2)
    for number, colour in COLOURS.items():
        inside = labels == number
        picture[inside] = picture[inside] // 2 + np.array(colour, dtype=np.uint8) // 2
    return picture
