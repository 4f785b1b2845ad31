"""Tensors in, scalar out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVEL_WEIGHTS = (1.0, 1 / 2, 1 / 4, 1 / 8)
SMOOTH = 1.0


def deep_loss(logits: tuple[Tensor, ...], labels: Tensor, class_weights: Tensor) -> Tensor:
    """Dice plus cross-entropy over the deep-supervision levels, weighted 1, 1/2, 1/4, 1/8.

    ``logits``: (N, C, Z, Y / 2^l, X / 2^l) for level l; ``labels``: (N, Z, Y, X) long, sampled
    at every 2^l-th row and column.
    """
    total = logits[0].new_zeros((), dtype=torch.float32)
    for level, (weight, scores) in enumerate(zip(LEVEL_WEIGHTS, logits, strict=True)):
        step = 2**level
        target = labels[..., ::step, ::step]
        scores = scores.float()
        entropy = F.cross_entropy(scores, target, weight=class_weights, reduction="sum")
        weighed = class_weights[target].sum()
        total = total + weight * (entropy / weighed + dice_loss(scores.softmax(1), target))
    return total


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """One minus the mean soft Dice of the classes present, the whole tumour counted too.

    ``probabilities`` (N, C, Z, Y, X), ``labels`` (N, Z, Y, X). Classes that are absent from
    the window have no Dice to speak of; the cross-entropy takes care of them. Zero if none
    is present.
    """
    truth = F.one_hot(labels, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    found = torch.cat([probabilities[:, 1:], probabilities[:, 1:3].sum(1, keepdim=True)], 1)
    wanted = torch.cat([truth[:, 1:], truth[:, 1:3].sum(1, keepdim=True)], 1)
    axes = (0, 2, 3, 4)
    overlap, sizes = (found * wanted).sum(axes), (found + wanted).sum(axes)
    present = wanted.sum(axes) > 0
    dice = (2 * overlap + SMOOTH) / (sizes + SMOOTH)
    return (1 - dice)[present].sum() / present.sum().clamp(min=1)
