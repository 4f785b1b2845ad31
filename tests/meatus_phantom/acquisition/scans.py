"""Small grids and pictures for the tests of acquisition."""

import torch

from meatus.geometry import Geometry

CPU = torch.device("cpu")
PIXEL = (1.0, 1.0)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def grid(size=(64, 64, 4), spacing=(1.0, 1.0, 1.0)):
    return Geometry(
        size, spacing, tuple(-(n - 1) * s / 2 for n, s in zip(size, spacing, strict=True))
    )


def dot(size=64):
    image = torch.zeros(1, size, size, dtype=torch.complex64)
    image[0, size // 2, size // 2] = 1
    return image
