"""Training windows, each drawn from the seed and its number alone; the loader hands them out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from meatus.intensity import BLACK
from meatus_training.augmentation import AugmentSettings, augment_window, expand_incomplete
from meatus_training.runs.launch import outlive_signals
from meatus_training.segmentation.rendered import RenderedWindows, Subjects, sees_whole_field
from meatus_training.segmentation.samples import Labelled, Scans
from meatus_training.segmentation.settings import SegmentSettings

JITTER = 0.35  # of the window's size: how far off its centre a structure may lie

# Streams of random numbers that must not be alike.
PLACING, AUGMENTING = 0, 1

Windows = tuple[Tensor, Tensor, Tensor]  # images (N, 1, Z, Y, X), labels (N, Z, Y, X), numbers (N,)


class WindowSet(Dataset[tuple[Tensor, Tensor, int]]):
    """Window number k of a training, whoever asks and however often it was interrupted."""

    def __init__(
        self, scans: Scans, settings: SegmentSettings, *, whole: bool, augment: bool
    ) -> None:
        """``whole``: of all rows and columns; ``augment``: here, not later on a GPU."""
        self.scans, self.settings = scans, settings
        self.whole, self.augment = whole, augment

    def _size(self, scan: Labelled, number: int) -> tuple[int, int, int]:
        """Of window ``number`` of ``scan``; the same for all windows of a step."""
        settings, plane = self.settings, scan.voxels.shape[1:]
        if self.whole:
            return (settings.depth, *plane)
        mixed = settings.full_field_order == "mixed"
        if mixed and sees_whole_field(settings, number // settings.batch):
            return (settings.full_field_depth or settings.depth, *plane)
        return settings.patch

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        """Image (1, Z, Y, X) float32, labels (Z, Y, X) uint8, and the number."""
        settings = self.settings
        scan = self.scans.scan(number)
        rng = np.random.default_rng((settings.seed, number, PLACING))
        size = self._size(scan, number)
        voxels, labels = cut(scan, size, place(scan, size, settings.foreground_oversampling, rng))
        image, marked = torch.from_numpy(voxels), torch.from_numpy(labels)
        if not scan.complete:  # here, where its black sides are its own and not of a warp
            image, marked = expand_incomplete(image, marked, rng, settings.augmentation)
        if self.augment:
            image, marked = augmented(image, marked, settings.augmentation, settings.seed, number)
        return image[None], marked, number


def place(
    scan: Labelled, size: tuple[int, int, int], near: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """First voxel (3,) of a random window, with probability ``near`` about a structure.

    Inside the scan where that is large enough, else about its middle, as inference pads.
    """
    shape, wanted = np.array(scan.voxels.shape), np.array(size)
    about = rng.random() < near and len(scan.places) > 0
    room = shape - wanted
    if about:
        centre = scan.places[rng.integers(len(scan.places))]
        start = np.rint(centre + rng.uniform(-JITTER, JITTER, 3) * wanted - wanted / 2)
        inside = np.clip(start, 0, np.maximum(room, 0)).astype(np.int64)
        # Along z, where a window is nearly as tall as a scan, most starts would be clipped.
        last = min(int(centre[0]), max(int(room[0]), 0))
        inside[0] = rng.integers(max(int(centre[0]) - size[0] + 1, 0), last + 1)
    else:  # every start alike, as published: clipped ones would pile up at both ends
        inside = rng.integers(np.maximum(room, 0) + 1)
    chosen: NDArray[np.int64] = np.where(room >= 0, inside, room // 2)
    return chosen


def cut(
    scan: Labelled, size: tuple[int, int, int], start: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Voxels and labels of the window of ``size`` at ``start``; outside black and background."""
    low = np.maximum(start, 0)
    high = np.minimum(start + size, scan.voxels.shape)
    read = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    put = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    voxels = np.full(size, BLACK, dtype=np.float32)
    labels = np.zeros(size, dtype=np.uint8)
    voxels[put], labels[put] = scan.voxels[read], scan.labels[read]
    return voxels, labels


def augmented(
    image: Tensor, labels: Tensor, settings: AugmentSettings, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Window ``number`` (Z, Y, X) augmented, on the device where it lies."""
    rng = np.random.default_rng((seed, number, AUGMENTING))
    return augment_window(image, labels, rng, settings)


def batches(
    windows: WindowSet | RenderedWindows,
    steps: range,
    rank: int = 0,
    world: int = 1,
    *,
    on_gpu: bool = False,
) -> Iterator[Windows]:
    """The windows of process ``rank``, ``micro_batch`` at a time, one step after the other.

    Each step takes ``batch`` numbers that follow on one another; the processes share them.
    """
    settings = windows.settings
    share = settings.batch // world
    starts = (step * settings.batch + rank * share for step in steps)
    numbers = (
        list(range(first, first + settings.micro_batch))
        for start in starts
        for first in range(start, start + share, settings.micro_batch)
    )
    return iter(
        DataLoader(
            windows,
            batch_sampler=numbers,
            num_workers=settings.workers,
            pin_memory=on_gpu,
            worker_init_fn=outlive_signals,
        )
    )


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
        whole = whole and not self.rendered and self.settings.full_field_order == "last"
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
