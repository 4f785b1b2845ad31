"""Soft Dice and weighted cross-entropy with deep supervision and hard examples.

The loss of the published code of "An Efficient Cross-Modal Segmentation Method for Vestibular
Schwannoma and Cochlea on MRI Images", with its numbers as defaults, and what lets a small
network start on a processor: a mean over the weights, and a Dice of the whole tumour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from meatus.structures import TUMOUR
from meatus_training.hard_examples import EDGES, IGNORE, hard_negatives, hard_positives

LABELS = 256  # as many as a byte holds
TINY = 1e-8  # of the published Dice's denominator


@dataclass(frozen=True)
class SegLossSettings:
    """Weights of the loss's terms; the defaults are those of the published code."""

    class_weights: tuple[float, ...] = (1.0, 5.0, 15.0, 5.0)  # of the cross-entropy, per label
    level_weights: tuple[float, ...] = (1.0, 1 / 2, 1 / 4, 1 / 8)  # full resolution first
    entropy_weight: float = 20.0  # of the cross-entropy against the Dice
    hard_edges: tuple[int, ...] = EDGES  # see ``hard_examples.draw_edge``
    hard_weight: float = 15.0  # added at voxels just outside the tumour, at full resolution
    rim_weight: float = 0.0  # the same just inside it
    mean_over: Literal["voxels", "weights"] = "voxels"  # what the cross-entropy is divided by
    dice: Literal["all", "present"] = "all"  # absent classes cost one, or do not count
    whole_tumour: bool = False  # counts in the Dice as one class more
    smooth: float = 1e-5


@dataclass(frozen=True)
class SegLoss:
    """Both terms, scalars; the curves show them apart."""

    entropy: Tensor  # weighted
    dice: Tensor

    @property
    def total(self) -> Tensor:
        return self.entropy + self.dice


def seg_loss(
    logits: Sequence[Tensor], target: Tensor, edge: int, settings: SegLossSettings
) -> SegLoss:
    """The loss of ``logits``, one (N, C, Z, Y / 2^l, X / 2^l) per level l, against ``target``.

    ``target`` (N, Z, Y, X) holds labels or ``IGNORE``, of any integer type; level l sees every
    2^l-th row and column. ``edge`` comes from ``draw_edge``. One level alone is a loss without
    deep supervision. Half precision is raised to single. A label that is neither a class nor
    ``IGNORE`` makes the loss not-a-number: a check would hold the GPU up at each step.
    """
    if not 0 < len(logits) <= len(settings.level_weights):
        raise ValueError(
            f"{len(logits)} levels of logits for {len(settings.level_weights)} level weights"
        )
    entropies, dices = [], []
    for level, scores in enumerate(logits):
        step, weight = 2**level, settings.level_weights[level]
        labels = target[..., ::step, ::step].long()
        scores = scores if scores.dtype == torch.float64 else scores.float()
        scores = scores.contiguous()  # four classes a voxel apart: twice as slow on a processor
        weights = voxel_weights(labels, scores.dtype, settings, edge if level == 0 else None)
        entropies.append(weight * entropy_loss(scores, labels, weights, settings.mean_over))
        dices.append(weight * dice_loss(scores.softmax(1), labels, settings))
    return SegLoss(settings.entropy_weight * torch.stack(entropies).sum(), torch.stack(dices).sum())


def voxel_weights(
    labels: Tensor, dtype: torch.dtype, settings: SegLossSettings, edge: int | None
) -> Tensor:
    """Weight of each voxel of ``labels`` (N, Z, Y, X) in the cross-entropy, 0 where ignored.

    Hard examples weigh more where an ``edge`` is given: a cochlea near a tumour 5 + 15 = 20.
    """
    table = torch.full((LABELS,), torch.nan, dtype=dtype)
    table[: len(settings.class_weights)] = torch.tensor(settings.class_weights, dtype=dtype)
    table[IGNORE] = 0
    weights = table.to(labels.device)[labels]
    if edge is not None and settings.hard_weight:
        hard = hard_negatives(labels, edge) & (labels != IGNORE)
        weights = weights + settings.hard_weight * hard
    if edge is not None and settings.rim_weight:
        weights = weights + settings.rim_weight * hard_positives(labels, edge)
    return weights


def entropy_loss(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    mean_over: Literal["voxels", "weights"] = "voxels",
) -> Tensor:
    """Weighted cross-entropy of ``scores`` (N, C, Z, Y, X), over the number of voxels plus one.

    Or over the sum of ``weights`` (N, Z, Y, X). Voxels to ignore are not counted.
    """
    log_p = scores.log_softmax(1)
    picked = (log_p * one_hot(labels, scores.shape[1])).sum(1)
    weighed = -(weights * picked).sum()
    if mean_over == "weights":
        return weighed / weights.sum().clamp(min=TINY)
    return weighed / ((labels != IGNORE).sum() + 1)


def dice_loss(probabilities: Tensor, labels: Tensor, settings: SegLossSettings) -> Tensor:
    """One minus the mean soft Dice of the structures, over batch and space together.

    ``probabilities`` (N, C, Z, Y, X). Where a class is absent its Dice is about 0; with
    ``dice="present"`` the mean is over the classes that ``labels`` holds, and 0 if none.
    """
    counted = (labels != IGNORE)[:, None]
    truth = one_hot(labels, probabilities.shape[1])[:, 1:]
    found = probabilities[:, 1:] * counted
    axes = (0, 2, 3, 4)
    overlap = (found * truth).sum(axes)
    wanted = truth.sum(axes)
    sizes = found.sum(axes) + wanted  # 2 TP + FP + FN
    if settings.whole_tumour:
        both = [number - 1 for number in TUMOUR]  # places among the structures
        overlap = torch.cat([overlap, (found[:, both].sum(1) * truth[:, both].any(1)).sum()[None]])
        sizes = torch.cat([sizes, sizes[both].sum()[None]])
        wanted = torch.cat([wanted, wanted[both].sum()[None]])
    dice = (2 * overlap + settings.smooth) / (sizes + settings.smooth + TINY)
    if settings.dice == "all":
        return 1 - dice.mean()
    present = wanted > 0
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(N, C, Z, Y, X) bool; all false where ``labels`` (N, Z, Y, X) say ``IGNORE``.

    Comparisons instead of a gather, whose gradient on a GPU is not the same twice.
    """
    numbers = torch.arange(classes, device=labels.device).view(1, -1, 1, 1, 1)
    return labels[:, None] == numbers
