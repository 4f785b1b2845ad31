"""CUT's losses: tensors in, a tensor out.

Source: Park et al., "Contrastive learning for unpaired image-to-image translation", ECCV 2020;
Mao et al., "Least squares generative adversarial networks", ICCV 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def patch_nce(queries: Tensor, keys: Tensor, images: int, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of finding each query's own key among those of its group, (N,).

    ``queries`` and ``keys`` are unit vectors (N, n), those of one image one after another, and
    N is cut into ``images`` equal groups; with one group, other images' keys are negatives too.
    No gradient flows to the keys.

    The published code lists the positive twice, once in its own column and once among the
    negatives with similarity -10: the latter is exp(-10 / 0.07) of nothing, and left out here.
    """
    grouped = (images, -1, queries.shape[1])
    grouped_queries, grouped_keys = queries.reshape(grouped), keys.detach().reshape(grouped)
    similarity = grouped_queries @ grouped_keys.transpose(1, 2) / temperature  # (images, P, P)
    own = torch.arange(similarity.shape[1], device=queries.device).expand(images, -1)
    return F.cross_entropy(similarity.transpose(1, 2), own, reduction="none").flatten()


def lsgan(logits: Tensor, *, real: bool) -> Tensor:
    """Mean squared distance of the discriminator's logits from 1 (real) or 0."""
    return ((logits - 1) if real else logits).square().mean()
