"""Settings of the translation stage; saved in the checkpoint that they made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class TranslateConfig:
    """Training of one translator. The defaults follow the paper; see ``published``."""

    width: int = 64  # of the generator
    critic_width: int = 64
    blocks: int = 9
    sampler_width: int = 256
    styles: int = 0  # sites of the target, each with a style of its own; 0: one style
    layers: tuple[int, ...] = (0, 4, 8, 12, 16)
    patches: int = 256  # positions per layer and slice
    temperature: float = 0.07

    size: int = 256  # voxels of a training slice along y and x
    # "zoom": whole slices drawn to that size, as published. "crop": parts of it at the scan's
    # own resolution, for arrays that lie on one spacing.
    fit: Literal["zoom", "crop"] = "zoom"
    labelled_share: float = 0.0  # of the source slices, drawn among those with a structure

    initialisation: Literal["he", "xavier"] = "he"
    learning_rate: float = 2e-4  # of generator and sampler
    critic_learning_rate: float = 2e-5
    betas: tuple[float, float] = (0.5, 0.999)  # of Adam; the paper is silent, CUT has these
    weight_decay: float = 1e-4
    schedule: Literal["plateau", "linear"] = "plateau"
    epochs: int = 200  # at the full rate, where the schedule is linear
    decay_epochs: int = 0  # after those, linearly to nothing
    # Of CUT's own plateau option: factor and patience (epochs), and what counts as better.
    plateau_factor: float = 0.2
    plateau_patience: int = 5
    plateau_threshold: float = 0.01

    batch: int = 10  # pairs of slices in a step, over all processes together
    steps_per_epoch: int = 0  # 0: as many as show each slice of the larger side once
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    workers: int = 0  # processes that read ahead
    seed: int = 0
    save_every: int = 500  # steps, as the next two
    log_every: int = 50
    picture_every: int = 500

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def paper() -> TranslateConfig:
    """As the paper says: He, plateau, weight decay 1e-4, batch 10, 200 epochs."""
    return TranslateConfig()


def published() -> TranslateConfig:
    """As the published code does: Xavier, constant then linear rate, no decay of weights."""
    return TranslateConfig(
        initialisation="xavier", schedule="linear", decay_epochs=200, weight_decay=0
    )
