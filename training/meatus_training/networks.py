"""The 2.5D residual U-Net: four in-plane halvings, depth never resampled.

Tensors are (N, C, D, H, W), kernels and strides (z, y, x). Modules and parameters bear the
published names, so that published and own weights load alike, strictly.

Source: "An Efficient Cross-Modal Segmentation Method for Vestibular Schwannoma and Cochlea on
MRI Images" and its published configuration (width 32, 3 blocks).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meatus.structures import Structure
from meatus.windows import GRID_MULTIPLE

# Batch, depth, height and width in memory before channels: what CPU convolutions like best.
MEMORY_FORMAT = torch.channels_last_3d

_IN_PLANE_HALF = (1, 2, 2)

# Deep-supervision outputs, from full resolution down to an eighth.
Deep = tuple[Tensor, Tensor, Tensor, Tensor]


class ResUNet25d(nn.Module):
    """Scan windows in, class logits out; ``forward_deep`` adds the outputs of coarser levels."""

    def __init__(
        self, width: int = 32, blocks: int = 3, classes: int = 4, in_channels: int = 1
    ) -> None:
        super().__init__()
        self.width, self.blocks, self.classes = width, blocks, classes
        self.in_channels = in_channels
        self.backbone = Backbone(width, blocks, in_channels)
        self.head = Head(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, D, H, W) to logits (N, classes, D, H, W).

        Raises ``ValueError`` where H or W is not a multiple of ``GRID_MULTIPLE``.
        """
        c7, _, _ = self.backbone(x)
        return self.head.full_resolution(c7)

    def forward_deep(self, x: Tensor) -> Deep:
        """Logits at full, half, quarter and eighth in-plane resolution, full depth each."""
        c7, c6, c5 = self.backbone(x)
        return (
            self.head.full_resolution(c7),
            self.head.conv1(c7),
            self.head.conv2(c6),
            self.head.conv3(c5),
        )


class Backbone(nn.Module):
    """Features c7, c6 and c5 at half, quarter and eighth resolution."""

    def __init__(self, width: int, blocks: int, in_channels: int) -> None:
        super().__init__()
        c = width
        self.in_conv = InputConvs(in_channels, c)
        self.layer1 = _stage(c, 2 * c, blocks)
        self.layer2 = _stage(2 * c, 4 * c, blocks)
        self.layer3 = _stage(4 * c, 8 * c, blocks)
        self.conv5 = FusingConvs(8 * c, 4 * c)
        self.conv6 = FusingConvs(4 * c, 2 * c)
        self.conv7 = FusingConvs(2 * c, c)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        height, width = x.shape[-2:]
        if height % GRID_MULTIPLE or width % GRID_MULTIPLE:
            raise ValueError(
                f"a window of {height}x{width} voxels does not fit the network: "
                f"pad both to multiples of {GRID_MULTIPLE}."
            )
        c1 = self.in_conv(x)
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        c5 = self.conv5(upsample(c4), c3)
        c6 = self.conv6(upsample(c5), c2)
        c7 = self.conv7(upsample(c6), c1)
        return c7, c6, c5


class Head(nn.Module):
    """One 1x1x1 classifier per resolution; only ``conv`` is needed for inference."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, classes, 1)
        self.conv1 = nn.Conv3d(width, classes, 1)
        self.conv2 = nn.Conv3d(2 * width, classes, 1)
        self.conv3 = nn.Conv3d(4 * width, classes, 1)

    def full_resolution(self, c7: Tensor) -> Tensor:
        """Logits at full resolution from features at half.

        Published as ``conv(upsample(c7))``. Both steps are linear and the interpolation weights
        of a voxel sum to one, so classifying first is the same, and enlarges few channels.
        """
        return upsample(self.conv(c7))

    @torch.no_grad()
    def at_temperature(self, temperature: float) -> None:
        """Divide the logits at full resolution by ``temperature``, in place.

        The likeliest class stays; its probability falls where the temperature is above 1. Source:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
        """
        for part in self.conv.parameters():
            part.div_(temperature)


class InputConvs(nn.Module):
    """The first halving, within the slice, then a full 3D convolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _in_plane_conv(in_channels, channels),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            _conv(channels, channels),
            InstanceNorm(),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class FusingConvs(nn.Module):
    """Two convolutions over the upsampled features joined with the skipped ones."""

    def __init__(self, upper: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(upper + channels, channels),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            _conv(channels, channels),
            InstanceNorm(),
            nn.ReLU(inplace=True),
        )

    def forward(self, upper: Tensor, skip: Tensor) -> Tensor:
        first = self.conv[0]
        assert isinstance(first, nn.Conv3d)
        joined = conv_of_concatenation(first, upper, skip)
        out: Tensor = self.conv[1:](joined)
        return out


class ResidualBlock(nn.Module):
    """ReLU(main + shortcut); a block that changes the grid halves it within the slice."""

    def __init__(self, in_channels: int, channels: int, *, halve: bool) -> None:
        super().__init__()
        self.conv1 = _in_plane_conv(in_channels, channels) if halve else _conv(channels, channels)
        self.conv2 = _conv(channels, channels)
        self.norm = InstanceNorm()
        self.downsample: nn.Module = nn.Identity()
        if halve:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, channels, 1, _IN_PLANE_HALF), InstanceNorm()
            )

    def forward(self, x: Tensor) -> Tensor:
        main = F.relu(self.norm(self.conv1(x)), inplace=True)
        main = self.norm(self.conv2(main))
        shortcut: Tensor = self.downsample(x)
        return F.relu(main + shortcut, inplace=True)


class InstanceNorm(nn.Module):
    """Zero mean and unit (biased) variance per sample and channel; nothing is learnt."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.instance_norm(x)
        # In training, one sample's instance norm is taken as its batch norm: torch's own
        # instance_norm gives up the channels-last layout, and the convolutions around it then
        # copy every tensor twice. It costs exactness: torch 2.13 adds up a channels-last
        # channel in one float32 accumulator, off by up to 0.04 standard deviations where much
        # of a window is black, which is less than bfloat16 rounds.
        each = [F.batch_norm(one, None, None, training=True) for one in x.tensor_split(len(x))]
        return each[0] if len(each) == 1 else torch.cat(each)


def conv_of_concatenation(conv: nn.Conv3d, upper: Tensor, skip: Tensor) -> Tensor:
    """``conv(cat([upper, skip], 1))`` as the sum of two convolutions, one per half of the weight.

    The large concatenated tensor is never made. Under bfloat16 autocast on a CPU with AMX,
    torch 2.13 returned NaN as the weight gradient of some of the joint convolutions (48 to 16
    channels at 6x128x128). Splitting alone does not cure that library: at depths 3 to 6
    the gradient of 64 to 32 channels never ended with two threads; at 7 to 40 all was well.
    """
    upper_weight, skip_weight = conv.weight.tensor_split([upper.shape[1]], dim=1)
    of_upper = F.conv3d(upper, upper_weight, conv.bias, padding=1)
    return of_upper + F.conv3d(skip, skip_weight, padding=1)


def call_background(heads: Iterable[nn.Conv3d], logit: float) -> None:
    """Let classifiers begin by calling everything background, as nearly all of a scan is."""
    for head in heads:
        assert head.bias is not None
        nn.init.zeros_(head.bias)
        head.bias.data[Structure.BACKGROUND] = logit


def upsample(x: Tensor) -> Tensor:
    """Double height and width, bilinear within each slice, half-pixel centres."""
    return F.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear", align_corners=False)


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    plain = [ResidualBlock(channels, channels, halve=False) for _ in range(blocks - 1)]
    return nn.Sequential(ResidualBlock(in_channels, channels, halve=True), *plain)


def _in_plane_conv(in_channels: int, channels: int) -> nn.Conv3d:
    return nn.Conv3d(in_channels, channels, (1, 3, 3), _IN_PLANE_HALF, (0, 1, 1))


def _conv(in_channels: int, channels: int) -> nn.Conv3d:
    return nn.Conv3d(in_channels, channels, 3, padding=1)
