"""Anti-aliased halving and doubling of a grid, as CUT's networks use them.

Source: Zhang, "Making convolutional networks shift-invariant again", ICML 2019; filters and
borders as in Park et al., "Contrastive learning for unpaired image-to-image translation", 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BlurDown(nn.Module):
    """Binomial blur [1, 2, 1], then every second row and column, starting with the first."""

    filt: Tensor  # (C, 1, 3, 3), the name it bears in published checkpoints

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _outer([1, 2, 1]).repeat(channels, 1, 1, 1) / 16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / 2), ceil(W / 2)); the border is reflected."""
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=len(self.filt))


class BlurUp(nn.Module):
    """Doubling by the transposed filter [1, 3, 3, 1] / 4 with replicated borders.

    A new row then lies a quarter of an old pixel from the nearest old row and takes 3/4 of it
    and 1/4 of the next: that is bilinear interpolation with half-pixel centres, for which torch
    has a routine far faster than a depthwise transposed convolution.
    """

    filt: Tensor  # (C, 1, 4, 4): only so that published checkpoints load strictly

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _outer([1, 3, 3, 1]).repeat(channels, 1, 1, 1) / 16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2 H, 2 W)."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _outer(row: list[float]) -> Tensor:
    weights = torch.tensor(row, dtype=torch.float32)
    return torch.outer(weights, weights)[None, None]
