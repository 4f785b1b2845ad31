"""What hands a training its windows."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lightning.fabric import Fabric

from meatus_training.segmentation.rendered import RenderedWindows, Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.windows import Windows, WindowSet, batches


class Loader(Iterator[Windows]):
    """The open reader of windows, and how long the training waited for it."""

    def __init__(
        self, scans: Scans | Subjects, settings: SegmentSettings, fabric: Fabric, last: float
    ) -> None:
        self.scans, self.settings, self.fabric, self.last = scans, settings, fabric, last
        self.on_gpu = fabric.device.type == "cuda"
        self.rendered = isinstance(scans, Subjects)  # windows that bear all variation already
        self.augment_late = self.on_gpu and settings.augment_on_gpu and not self.rendered
        self.whole: bool | None = None
        self.reader: Iterator[Windows] = iter(())
        self.waited_s = 0.0

    def turn(self, step: int, *, whole: bool) -> None:
        """Read whole windows, or parts, from ``step`` on; nothing changes if that is so."""
        whole = whole and not self.rendered
        if whole == self.whole:
            return
        self.whole = whole
        steps = range(step, int(min(self.last, 2**62)))
        rank, world = self.fabric.global_rank, self.fabric.world_size
        windows = self._windows(whole)
        self.reader = batches(windows, steps, rank, world, on_gpu=self.on_gpu)

    def _windows(self, whole: bool) -> WindowSet | RenderedWindows:
        if isinstance(self.scans, Subjects):
            return RenderedWindows(self.scans, self.settings)
        return WindowSet(self.scans, self.settings, whole=whole, augment=not self.augment_late)

    def __next__(self) -> Windows:
        asked = time.monotonic()
        windows = next(self.reader)
        self.waited_s += time.monotonic() - asked
        return windows

    def waited(self) -> float:
        """Seconds since this was last asked."""
        waited, self.waited_s = self.waited_s, 0.0
        return waited
