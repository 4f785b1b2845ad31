"""Variations of a training window: of its targets alone, its borders, its quality, its shape.

Every step is a pure function ``step(image, labels, rng, settings)`` of a window ``image``
(Z, Y, X) float in [-1, 1], its ``labels`` (Z, Y, X) uint8 and a generator that settles all random
choices: the same seed gives the same result on one kind of device. What is ``BLACK`` stays so.
"""

from meatus_training.augmentation.settings import PAPER, PUBLISHED, AugmentSettings
from meatus_training.augmentation.window import augment_window

__all__ = ["PAPER", "PUBLISHED", "AugmentSettings", "augment_window"]
