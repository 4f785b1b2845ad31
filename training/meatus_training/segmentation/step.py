"""One update of the network, and the schedule: how far a training is and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from meatus_training.errors import TrainingError
from meatus_training.hard_examples import draw_edge
from meatus_training.losses import seg_loss
from meatus_training.networks import MEMORY_FORMAT
from meatus_training.runs.launch import together
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import Progress, State
from meatus_training.segmentation.windows import Windows, augmented

EDGE = 2  # the stream of random numbers of the hard examples' edge; see windows.PLACING


@dataclass(frozen=True)
class Stepped:
    """What an update leaves to look at; of this process alone."""

    losses: Tensor  # (2,), weighted cross-entropy and Dice
    finite: bool  # whether the network was updated
    images: Tensor  # (N, 1, Z, Y, X), of the last pass
    labels: Tensor  # (N, Z, Y, X)
    found: Tensor  # (N, Z, Y, X), the network's labels


def train_step(
    state: State, passes: Iterator[Windows], settings: SegmentSettings, augment: bool
) -> Stepped:
    """One update from the windows of ``batch``; none where the gradients are not finite.

    ``augment`` says that the windows are still to be varied, here on the device.
    """
    fabric = state.fabric
    count = settings.batch // (settings.micro_batch * fabric.world_size)
    sums = torch.zeros(2, device=fabric.device)
    state.optimiser.zero_grad(set_to_none=True)
    for number in range(count):
        images, labels, numbers = on_device(next(passes), state, settings, augment)
        with fabric.no_backward_sync(state.model, enabled=number < count - 1):
            logits = state.model(images)
            rng = np.random.default_rng((settings.seed, int(numbers[0]), EDGE))
            edge = draw_edge(rng, settings.loss.hard_edges)
            loss = seg_loss(logits, labels, edge, settings.loss)
            fabric.backward(loss.total / count)
        sums += torch.stack([loss.entropy, loss.dice]).detach() / count
    finite = update(state, settings.clip)
    return Stepped(sums, finite, images, labels, logits[0].detach().argmax(1))


def update(state: State, clip: float) -> bool:
    """Clip the gradients and step; no step, and false, where they are not finite."""
    norm = state.fabric.clip_gradients(
        state.model, state.optimiser, max_norm=clip, error_if_nonfinite=False
    )
    assert norm is not None
    finite = math.isfinite(norm.item())
    # With float16 the optimiser leaves out the step by itself, and must be asked: it lowers the
    # factor that the loss is multiplied by.
    if finite or getattr(state.fabric.strategy.precision, "scaler", None) is not None:
        state.optimiser.step()
    return finite


def on_device(windows: Windows, state: State, settings: SegmentSettings, augment: bool) -> Windows:
    """The windows where the network is, varied there if they are not yet."""
    images, labels, numbers = windows
    device = state.fabric.device
    images = images.to(device, non_blocking=True)
    labels = labels.to(device, non_blocking=True)
    if augment:
        pairs = [
            augmented(image[0], marked, settings.augmentation, settings.seed, int(number))
            for image, marked, number in zip(images, labels, numbers, strict=True)
        ]
        images = torch.stack([image for image, _ in pairs])[:, None]
        labels = torch.stack([marked for _, marked in pairs])
    return images.contiguous(memory_format=MEMORY_FORMAT), labels, numbers


def fitting_micro_batch(
    batch: int, fabric: Fabric, attempt: Callable[[int], None], say: Callable[[str], None]
) -> int:
    """The most windows in one pass that memory holds, of those that share ``batch`` evenly.

    ``attempt`` makes one pass of so many and raises torch's ``OutOfMemoryError`` where they are
    too many. On a processor several at once are no faster, and too many would end the process:
    one. All processes come to the same number. Raises ``TrainingError`` where one is too many.
    """
    share = batch // fabric.world_size
    found = 1
    if fabric.device.type != "cpu":
        found = next((n for n in range(share, 0, -1) if share % n == 0 and _fits(attempt, n)), 0)
    (largest,) = together(fabric, -float(found))
    if largest == 0:
        raise TrainingError(
            "the GPU's memory does not hold one window; choose a smaller patch or width, or "
            "--accelerator cpu."
        )
    say(f"micro_batch: {-largest:.0f} of the {share} windows of a step in one pass")
    return -int(largest)


def _fits(attempt: Callable[[int], None], count: int) -> bool:
    try:
        attempt(count)
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


def pass_alone(
    state: State, settings: SegmentSettings, size: tuple[int, int, int], count: int
) -> None:
    """Forward and back through ``count`` empty windows of ``size``; nothing is learnt."""
    device = state.fabric.device
    images = torch.zeros((count, 1, *size), device=device).contiguous(memory_format=MEMORY_FORMAT)
    labels = torch.zeros((count, *size), dtype=torch.uint8, device=device)
    with state.fabric.autocast():  # past the wrapper: no process waits for another's gradients
        logits = state.network.forward_deep(images)
    loss = seg_loss(logits, labels, max(settings.loss.hard_edges), settings.loss)
    loss.total.backward()  # type: ignore[no-untyped-call]
    state.network.zero_grad(set_to_none=True)


class Schedule:
    """Steps and seconds that a training has taken, over all its starts."""

    def __init__(self, progress: Progress, settings: SegmentSettings, last: float) -> None:
        self.step, self.last = progress.step, last
        self.limit_s = 60 * settings.minutes or math.inf
        self.started_s = monotonic() - progress.seconds
        self.over = False

    @property
    def seconds(self) -> float:
        return monotonic() - self.started_s

    def done(self) -> float:
        """The share of the training that is behind us, by steps or by time."""
        return max(self.step / self.last, self.seconds / self.limit_s)


def last_step(scans: Scans | Subjects, settings: SegmentSettings) -> float:
    """Where the training ends at the latest; infinite where only time ends it."""
    if settings.steps:
        return settings.steps
    if settings.epochs and len(scans):
        return math.ceil(settings.epochs * len(scans) / settings.batch)
    if not settings.minutes:
        raise TrainingError("phantoms have no end and so no epochs; set steps or --minutes.")
    return math.inf


def set_rate(state: State, settings: SegmentSettings, step: int, done: float) -> None:
    """Linear warm-up, then a cosine down to ``last_rate``."""
    falling = (1 + math.cos(math.pi * done)) / 2
    share = settings.last_rate + (1 - settings.last_rate) * falling
    rate = settings.learning_rate * min(1, (step + 1) / max(settings.warm_up, 1)) * share
    for group in state.optimiser.param_groups:
        group["lr"] = rate
