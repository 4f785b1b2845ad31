"""What the discriminator minimises, and what the generator and the sampler minimise.

Sources: Park et al., "Contrastive learning for unpaired image-to-image translation", ECCV 2020;
Mao et al., "Least squares generative adversarial networks", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from meatus_training.translation.networks import (
    Discriminator,
    Generator,
    PatchSampler,
    draw_positions,
    last_features,
)


@dataclass(frozen=True)
class Translated:
    """A batch through the generator, with the features met on the way.

    ``fake`` and ``same`` (N, C, H, W) are the source and the target slices, both translated;
    ``keys`` are the levels' features (2 N, F, h, w) of source and target slices. Without the
    identity loss there is no ``same``, and ``keys`` (N, F, h, w) are of the source slices.
    ``drawn_from`` (N, width, H, W) are the last features of the source slices, gradients and all.
    """

    fake: Tensor
    same: Tensor | None
    keys: list[Tensor]
    drawn_from: Tensor


@dataclass(frozen=True)
class CriticLoss:
    """Of the discriminator: LSGAN over fake and real slices, and half their sum."""

    fake: Tensor
    real: Tensor

    @property
    def total(self) -> Tensor:
        return (self.fake + self.real) / 2


@dataclass(frozen=True)
class GeneratorLoss:
    """``nce`` and ``identity`` hold the mean PatchNCE of each level, (levels,)."""

    adversarial: Tensor
    nce: Tensor
    identity: Tensor
    contrast_weight: float = 1.0  # CUT's, as the next; FastCUT has 10 and 0
    identity_weight: float = 1.0

    @property
    def total(self) -> Tensor:
        contrast = self.nce.mean() + self.identity_weight * self.identity.mean()
        return self.adversarial + self.contrast_weight * contrast / 2


def translate_batch(
    generator: Generator,
    source: Tensor,
    target: Tensor,
    styles: Tensor | None,
    layers: Sequence[int],
    *,
    identity: bool = True,
) -> Translated:
    """Both (N, C, H, W) to ``styles`` (N,): the source to those of the target beside it.

    Without ``identity`` the target slices are left out, and with them half of the work.
    """
    times = 2 if identity else 1
    repeated = None if styles is None else styles.repeat(times)
    slices = torch.cat([source, target][:times])
    last = last_features(generator.blocks)
    out, (*features, drawn_from) = generator.with_features(slices, repeated, (*layers, last))
    fake, *same = out.chunk(times)
    keys = [feature.detach() for feature in features]
    return Translated(fake, same[0] if same else None, keys, drawn_from[: len(source)])


def critic_loss(
    critic: Discriminator, translated: Translated, target: Tensor, styles: Tensor | None
) -> CriticLoss:
    """The fake slices are cut off from the generator."""
    fake = critic(translated.fake.detach(), styles).float()
    real = critic(target, styles).float()
    return CriticLoss(lsgan(fake, real=False), lsgan(real, real=True))


def generator_loss(
    networks: tuple[Generator, Discriminator, PatchSampler],
    translated: Translated,
    styles: Tensor | None,
    layers: Sequence[int],
    places: tuple[Sequence[Tensor], Sequence[Tensor]],
    temperature: float,
    contrast_weight: float = 1.0,
    identity_weight: float = 1.0,
) -> GeneratorLoss:
    """Queries come from the translated slices, keys from what they were made of.

    ``places`` are the positions per level for the source and for the target slices.
    """
    generator, critic, sampler = networks
    adversarial = lsgan(critic(translated.fake, styles).float(), real=True)
    if translated.same is None:
        queries = generator.features(translated.fake, layers)
        nce = _nce(sampler, queries, translated.keys, places[0], temperature)
        return GeneratorLoss(adversarial, nce, torch.zeros_like(nce), contrast_weight, 0.0)
    queries = generator.features(torch.cat([translated.fake, translated.same]), layers)
    halves = zip(_halves(queries), _halves(translated.keys), places, strict=True)
    nce, identity = (_nce(sampler, q, k, p, temperature) for q, k, p in halves)
    return GeneratorLoss(adversarial, nce, identity, contrast_weight, identity_weight)


def draw_places(
    translated: Translated, patches: int, rng: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Positions per level, drawn apart for source and target slices."""
    return (
        draw_positions(translated.keys, patches, rng),
        draw_positions(translated.keys, patches, rng),
    )


def _halves(features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    pairs = [feature.chunk(2) for feature in features]
    return [first for first, _ in pairs], [second for _, second in pairs]


def _nce(
    sampler: PatchSampler,
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    places: Sequence[Tensor],
    temperature: float,
) -> Tensor:
    """Mean PatchNCE of each level, in float32 whatever the convolutions were computed in."""
    with torch.autocast(queries[0].device.type, enabled=False):
        found = sampler([q.float() for q in queries], places)
        with torch.no_grad():
            wanted = sampler([k.float() for k in keys], places)
        pairs = zip(found, wanted, strict=True)
        images = len(queries[0])
        return torch.stack([patch_nce(q, k, images, temperature).mean() for q, k in pairs])


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
