"""What keeps edges, tumour and cochlea in the translation, beside CUT's own objective.

Three losses of the generator, each with a weight of its own: edges that the source has (Sobel),
its labels found by the generator's last features, and found by a network in the translation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from meatus.structures import CLASS_NAMES
from meatus_training.losses import SegLossSettings, seg_loss
from meatus_training.networks import ResUNet25d
from meatus_training.translation.objective import Translated
from meatus_training.translation.settings import TranslatorSettings

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))  # along x; transposed along y
TINY = 1e-6

# Where most slices hold no structure, and those that do a few voxels.
LOSS = SegLossSettings(
    entropy_weight=1.0, mean_over="weights", dice="present", smooth=1.0, hard_weight=0.0
)


class Segmenters(nn.Module):
    """The networks that must find the labels; either is there where the settings weigh it."""

    def __init__(self, settings: TranslatorSettings) -> None:
        super().__init__()
        classes = len(CLASS_NAMES)
        self.head = nn.Conv2d(settings.width, classes, 1) if settings.head else None
        self.network = None
        if settings.segmenter:
            self.network = ResUNet25d(settings.segmenter_width, 1, classes, settings.channels)


@dataclass(frozen=True)
class StructureLoss:
    """The three losses, 0 where they are left out, and their weighted sum; scalars."""

    edge: Tensor
    head: Tensor
    segmenter: Tensor
    total: Tensor


def structure_loss(
    segmenters: Segmenters,
    translated: Translated,
    source: Tensor,
    labels: Tensor,
    settings: TranslatorSettings,
    step: int,
) -> StructureLoss:
    """Of ``source`` (N, C, H, W), whose middle slices bear ``labels`` (N, H, W).

    Before ``segmenter_from`` the network learns from translations that it cannot change. All in
    float32: thin windows in bfloat16 may hang on a processor, see ``train.SAFE_DEPTH``.
    """
    edge = head = segmenter = translated.fake.new_zeros((), dtype=torch.float32)
    with torch.autocast(source.device.type, enabled=False):
        fake = translated.fake.float()
        if settings.edge:
            edge = edge_loss(fake, source)
        if segmenters.head is not None:
            logits = segmenters.head(translated.drawn_from.float())
            head = seg_loss([logits[:, :, None]], labels[:, None], 1, LOSS).total
        if segmenters.network is not None:
            seen = fake if step >= settings.segmenter_from else fake.detach()
            levels = segmenters.network.forward_deep(seen[:, :, None])
            segmenter = seg_loss(levels, labels[:, None], 1, LOSS).total
    weighted = (
        settings.edge * edge + settings.head * head + settings.segmenter * segmenter
    )  # of which what is left out is 0
    return StructureLoss(edge, head, segmenter, weighted)


def edge_loss(fake: Tensor, source: Tensor) -> Tensor:
    """How much of the edges of ``source`` is missing in ``fake``, both (N, C, H, W); 0 to 1.

    The mean difference of both slices' edges, weighted by the source's: what the other contrast
    adds (fluid about a cochlea) costs nothing where the source is flat. An edge counts by its
    strength against the slice's own, so that a contrast turned round or halved costs nothing.
    """
    wanted = edges(source)
    return (wanted * (edges(fake) - wanted).abs()).sum() / wanted.sum().clamp(min=TINY)


def edges(images: Tensor) -> Tensor:
    """(N, C, H, W): Sobel's gradient against its mean square in the slice, from 0 (flat) to 1.

    Squares, so that grain, far below the mean square of a slice with edges, counts as flat.
    """
    kernel = images.new_tensor(SOBEL)
    flat = images.flatten(0, 1)[:, None]
    padded = F.pad(flat, (1, 1, 1, 1), mode="replicate")
    along = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])
    strength = along.square().sum(1) + TINY
    mean = strength.mean((1, 2), keepdim=True)
    return (strength / (strength + mean)).reshape(images.shape)
