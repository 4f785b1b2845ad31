"""All variations of one window, in the order in which a scan comes about."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from meatus_training.augmentation.borders import blank_borders, expand_incomplete, keep_slab
from meatus_training.augmentation.intensity import vary_image, vary_targets
from meatus_training.augmentation.quality import (
    add_noise,
    blur,
    lower_resolution,
    repeat_slices,
    shade,
)
from meatus_training.augmentation.settings import PAPER, AugmentSettings
from meatus_training.augmentation.shape import flip, warp

STEPS = (
    flip,
    warp,
    vary_targets,
    vary_image,
    shade,
    blur,
    lower_resolution,
    repeat_slices,
    add_noise,
    blank_borders,
    expand_incomplete,
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
