"""The last step of networks that were exported without it."""

from __future__ import annotations

import numpy as np

from meatus.geometry import Array


def softmax(scores: Array) -> Array:
    """(C, Z, Y, X) scores to probabilities that sum to one over the channels."""
    powers: Array = np.exp(scores - scores.max(axis=0, keepdims=True))  # no power above one
    powers /= powers.sum(axis=0, keepdims=True)
    return powers
