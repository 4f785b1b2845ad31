"""Settings of the training stages; each is saved in the checkpoint that it made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inference.spec import (
    PhysicalCrop,
    ReferenceCrop,
    SliceNormalisation,
    Spec,
    VolumeNormalisation,
    Window,
)

VERSION = "0.1.0"


@dataclass(frozen=True)
class SegmentConfig:
    """Supervised training of one segmentation network.

    The class weights, the Dice over present classes and the bias of the head are what lets
    training start at all: a canal is one voxel in a thousand.
    """

    rule: str = "physical"  # or "reference": crop and normalisation
    width: int = 16
    blocks: int = 3
    depth: int = 24  # slices of the windows at inference, and of the last part of the training
    patch: tuple[int, int, int] = (16, 160, 160)  # (Z, Y, X) of the first part's windows
    whole_share: float = 0.3  # of the training, on windows as inference sees them
    steps: int = 2000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: int = 100
    clip: float = 1.0  # gradient norm
    average: float = 0.99  # of the weights, per step
    class_weights: tuple[float, float, float, float] = (0.2, 1.5, 1.5, 3.0)
    background_bias: float = 3.0
    near_structures: float = 0.85  # share of windows centred near a labelled voxel
    seed: int = 0
    save_every: int = 100

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def spec_for(config: SegmentConfig, name: str, trained_on: str, date: str) -> Spec:
    """What the pipeline must know about weights trained with ``config``."""
    physical = config.rule == "physical"
    return Spec(
        name=name,
        crop=PhysicalCrop() if physical else ReferenceCrop(),
        normalisation=VolumeNormalisation() if physical else SliceNormalisation(),
        window=Window(config.depth, config.depth // 3),
        trained_on=trained_on,
        licence="Apache-2.0",
        date=date,
        training_version=VERSION,
        width=config.width,
        blocks=config.blocks,
    )
