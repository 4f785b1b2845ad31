"""Random numbers that depend on a seed and a subject's part alone, not on what was drawn before."""

from __future__ import annotations

import zlib

import numpy as np

SEEDS = 2**53  # whole numbers that every reader of a table keeps exactly


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The random stream called ``names`` of ``seed``: the same on any machine, in any order."""
    keys = [zlib.crc32(str(name).encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence([seed, *keys]))


def bounded_normal(
    rng: np.random.Generator, mean: float, sd: float, low: float, high: float
) -> float:
    """A normal draw, drawn again (at most 100 times, then clipped) while outside the bounds."""
    for _ in range(100):
        value = float(rng.normal(mean, sd))
        if low <= value <= high:
            return value
    return min(max(mean, low), high)
