"""Random numbers for tensors on any device, all from one NumPy generator."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from meatus_training.augmentation.settings import Range


def log_uniform(rng: np.random.Generator, limits: Range) -> float:
    """Even on a logarithmic scale between positive ``limits``."""
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with ``probability``; one number is drawn whatever it is."""
    return bool(rng.random() < probability)


def normal_like(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Standard normal numbers of the shape, type and device of ``image``."""
    source = torch.Generator(image.device).manual_seed(int(rng.integers(2**62)))
    return torch.randn(image.shape, generator=source, device=image.device, dtype=image.dtype)


def small_normal(shape: tuple[int, ...], rng: np.random.Generator, like: Tensor) -> Tensor:
    """A few standard normal numbers, drawn by NumPy: the same on every device."""
    return torch.from_numpy(rng.standard_normal(shape)).to(like)
