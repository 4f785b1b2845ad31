"""Variations of a training window: of its targets alone, its borders, its quality, its shape.

Every step is a pure function ``step(image, labels, rng, settings)`` of a window ``image``
(Z, Y, X) float in [-1, 1], its ``labels`` (Z, Y, X) uint8 and a generator that settles all random
choices: the same seed gives the same result on one kind of device. What is ``BLACK`` stays so.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from meatus_training.augmentation.borders import blank_borders, expand_incomplete, keep_slab
from meatus_training.augmentation.intensity import draw_tumour_look, vary_image, vary_targets
from meatus_training.augmentation.quality import (
    add_noise,
    blur,
    lower_resolution,
    repeat_slices,
    shade,
)
from meatus_training.augmentation.settings import PAPER, PUBLISHED, AugmentSettings
from meatus_training.augmentation.shape import flip, warp

__all__ = ["PAPER", "PUBLISHED", "AugmentSettings", "augment_window", "expand_incomplete"]


STEPS = (
    flip,
    warp,
    draw_tumour_look,
    vary_targets,
    vary_image,
    shade,
    blur,
    lower_resolution,
    repeat_slices,
    add_noise,
    blank_borders,
    keep_slab,
)


def augment_window(
    image: Tensor, labels: Tensor, rng: np.random.Generator, settings: AugmentSettings = PAPER
) -> tuple[Tensor, Tensor]:
    """Anatomy, then contrast, then quality, then the field, of ``image`` and ``labels`` (Z, Y, X).

    ``image`` is float in [-1, 1] and stays so; ``labels`` are uint8. Neither is changed in place.
    """
    for step in STEPS:
        image, labels = step(image, labels, rng, settings)
    return image, labels
