"""How far a training is, by steps and by time."""

from __future__ import annotations

import math
from time import monotonic

from meatus_training.errors import TrainingError
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import Progress


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
