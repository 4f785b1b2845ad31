"""Prepared scans to train on: arrays that stay on the disk until a window is cut."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meatus_training.errors import TrainingError
from meatus_training.hard_examples import IGNORE

PLACES = 4096  # labelled voxels of a scan that windows are centred on, at most
REMEMBERED = 1024  # scans whose places are kept: 24 KiB each


@dataclass(frozen=True)
class TrainingSample:
    """One scan: (Z, Y, X) voxels in [-1, 1] and labels, ``IGNORE`` where nothing is known."""

    name: str
    voxels: Path  # .npy, float16
    labels: Path  # .npy, uint8, on the same grid
    weight: float = 1.0  # how often it is drawn, beside the others' weights
    complete: bool = True  # whether the scan shows a whole head, not a part between black sides


@dataclass(frozen=True)
class Labelled:
    """A scan opened for cutting; the arrays may be mapped from files."""

    voxels: NDArray[np.float16]  # (Z, Y, X) in [-1, 1]
    labels: NDArray[np.uint8]  # (Z, Y, X)
    places: NDArray[np.int16]  # (K, 3), some voxels of structures
    complete: bool = True  # see ``TrainingSample``


class Scans(Protocol):
    """Where windows come from: the scan of window number k, which may be any number."""

    @property
    def fingerprint(self) -> str:
        """Changes with what is trained on, so that no training goes on with other scans."""

    def __len__(self) -> int:
        """Scans in an epoch; 0 where there is no end of them."""

    def scan(self, number: int) -> Labelled: ...


@dataclass(frozen=True)
class SampleScans:
    """Items in turn: each epoch shows them in a new order, as often as their weights say.

    Raises ``TrainingError`` where there are none, or files are missing or do not fit.
    """

    samples: Sequence[TrainingSample]
    seed: int = 0
    chances: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_samples(self.samples)
        weights = np.array([sample.weight for sample in self.samples], dtype=np.float64)
        object.__setattr__(self, "chances", weights / weights.sum())

    @property
    def fingerprint(self) -> str:
        named = sorted((sample.name, sample.weight) for sample in self.samples)
        return hashlib.sha256(repr(named).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.samples)

    def scan(self, number: int) -> Labelled:
        epoch, place = divmod(number, len(self.samples))
        return open_sample(self.samples[epoch_order(self.chances, self.seed, epoch)[place]])


def epoch_order(chances: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """As many numbers of items as there are, in random order.

    Systematic sampling: item i comes N ``chances[i]`` times, rounded up or down by chance; so
    items with equal chances come once each.
    """
    count = len(chances)
    rng = np.random.default_rng((seed, epoch))
    points = (np.arange(count) + rng.random()) / count
    chosen = np.searchsorted(np.cumsum(chances) * (1 + 1e-12), points)
    return rng.permutation(np.minimum(chosen, count - 1))


def open_sample(sample: TrainingSample) -> Labelled:
    """Map the arrays of ``sample``; only what a window needs is read."""
    labels = np.load(sample.labels, mmap_mode="r")
    voxels = np.load(sample.voxels, mmap_mode="r")
    return Labelled(voxels, labels, _places_of(sample.labels), sample.complete)


def check_samples(samples: Sequence[TrainingSample]) -> None:
    """Raise ``TrainingError``, one line per item that cannot be trained on."""
    if not samples:
        raise TrainingError("there is no scan to train on; prepare, or translate, some first.")
    names = [sample.name for sample in samples]
    wrong = [f"{name} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    wrong += [found for sample in samples if (found := _mistake(sample))]
    if not any(sample.weight > 0 for sample in samples):
        wrong.append("every scan has weight 0")
    if wrong:
        raise TrainingError("\n".join(wrong))


def marked_places(labels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(K, 3): at most ``PLACES`` voxels of structures, spread evenly over all of them."""
    marked = np.flatnonzero((labels != 0) & (labels != IGNORE))
    if len(marked) > PLACES:
        marked = marked[np.linspace(0, len(marked) - 1, PLACES).astype(np.int64)]
    return np.stack(np.unravel_index(marked, labels.shape), axis=1).astype(np.int16)


@lru_cache(maxsize=REMEMBERED)
def _places_of(file: Path) -> NDArray[np.int16]:
    return marked_places(np.load(file, mmap_mode="r"))


def _mistake(sample: TrainingSample) -> str | None:
    """What is wrong with ``sample``, from the headers of its files alone."""
    try:
        voxels, labels = (np.load(file, mmap_mode="r") for file in (sample.voxels, sample.labels))
    except FileNotFoundError as error:
        return f"{error.filename} is missing; prepare again."
    except (OSError, ValueError) as error:
        return f"{sample.voxels} or its labels cannot be read ({error}); prepare again."
    if voxels.shape != labels.shape or voxels.ndim != 3 or labels.dtype != np.uint8:
        return (
            f"{sample.labels}: {labels.dtype} {labels.shape}; expected uint8 on the grid of "
            f"{sample.voxels.name} {voxels.shape}."
        )
    if sample.weight < 0:
        return f"{sample.name} has the weight {sample.weight}; expected 0 or more."
    return None
