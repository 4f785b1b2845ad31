"""How far a training is, by steps and by time, and what rate it then learns at."""

from __future__ import annotations

import math
from time import monotonic

from meatus_training.errors import TrainingError
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import Progress, State


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
