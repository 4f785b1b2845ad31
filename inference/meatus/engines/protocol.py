"""What the pipeline asks of a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from meatus.geometry import Array
from meatus.spec import Spec


class Engine(Protocol):
    """One network, loaded. Holds the runtime's session, nothing else."""

    name: str  # for the user: runtime, device and precision, e.g. "OpenVINO CPU bf16"

    def __call__(self, window: Array) -> Array:
        """(Z, Y, X) intensities in [-1, 1] to (C, Z, Y, X) probabilities that sum to one."""

    def release(self) -> None:
        """Give memory of intermediate results back, between two cases."""


@dataclass(frozen=True)
class Resources:
    """What an engine may use."""

    threads: int
    cache: Path | None  # a folder for what it compiles, of these weights alone
    say: Callable[[str], None]  # takes lines that a user should see
    gpu: int = 0  # which one, where there are several
    first_window: tuple[int, int, int] | None = None  # (z, y, x) of the first, where that is known


@dataclass(frozen=True)
class Runtime:
    """A way to run a network: one of these, and its line in ``devices.RUNTIMES``, adds it."""

    name: str  # for the user: runtime and device
    device: str  # what a user asks for to get it
    check: Callable[[], str]  # what it runs on, in words; raises ``DeviceError`` with the reason
    load: Callable[[Path, Spec, Resources], Engine]
    compiles: bool = False  # whether what it compiles is worth keeping


def softmax(scores: Array) -> Array:
    """(C, Z, Y, X) scores to probabilities, for networks that were exported without this step."""
    powers: Array = np.exp(scores - scores.max(axis=0, keepdims=True))  # no power above one
    powers /= powers.sum(axis=0, keepdims=True)
    return powers
