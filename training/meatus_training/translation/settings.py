"""Settings of the translation stage; those of the training are saved in its checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from meatus.windows import GRID_MULTIPLE
from meatus_training.runs.launch import Precision
from meatus_training.settings_files import later

Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class TranslatorSettings:
    """Training of one translator. The defaults follow the paper."""

    width: Count = 64  # of the generator
    critic_width: Count = 64
    critic_norm: Literal["instance", "none"] = "instance"
    blocks: Annotated[int, Field(ge=5)] = 9  # layer 16 is the fifth
    sampler_width: Count = 256
    styles: CountOrNone = 0  # of the target; 0: one, and no code for it
    layers: tuple[int, ...] = (0, 4, 8, 12, 16)
    patches: Annotated[int, Field(ge=2)] = 256  # positions per layer and slice
    temperature: Positive = 0.07
    contrast: NotNegative = 1.0  # weight of the NCE beside the critic's judgement; CUT's lambda
    identity: NotNegative = 1.0  # weight of the identity NCE beside the other; 0: without

    size: Annotated[int, Field(ge=32, multiple_of=4)] = 256  # of a training slice, along y and x
    # "zoom": whole slices drawn to that size, as published. "crop": parts of it at the scan's
    # own resolution, for arrays that lie on one spacing.
    fit: Literal["zoom", "crop"] = "zoom"
    labelled_share: Share = 0.0  # of the source slices, drawn among those with a structure
    neighbours: CountOrNone = later(0)  # slices on either side, seen and translated as channels

    # Beyond CUT, for the labelled structures; what is 0 is left out. First what the source's
    # labels change in it: how far cochleae move to white, and the tumour to black.
    bright_cochlea: Share = later(0.0)
    dark_tumour: Share = later(0.0)
    # Weights in the generator's objective; see ``structures``.
    edge: NotNegative = later(0.0)  # of the edges that the translation loses
    head: NotNegative = later(0.0)  # of a segmentation by the generator's last features
    segmenter: NotNegative = later(0.0)  # of one by a network that sees the translations
    segmenter_width: Count = later(16)
    segmenter_from: CountOrNone = later(0)  # step; before, it learns and the generator does not

    initialisation: Literal["he", "xavier"] = "he"
    learning_rate: Positive = 2e-4  # of generator and sampler
    critic_learning_rate: NotNegative = 2e-5
    betas: tuple[Share, Share] = (0.5, 0.999)  # of Adam; the paper is silent, CUT has these
    weight_decay: NotNegative = 1e-4
    clip: NotNegative = later(0.0)  # norm of the gradients, of the critic and of the others; 0: off
    schedule: Literal["plateau", "linear"] = "plateau"
    epochs: Count = 200  # at the full rate, where the schedule is linear
    decay_epochs: CountOrNone = 0  # after those, linearly to nothing
    # Of CUT's own plateau option: factor and patience (epochs), and what counts as better.
    plateau_factor: Share = 0.2
    plateau_patience: CountOrNone = 5
    plateau_threshold: Share = 0.01
    plateau_floor: Share = later(0.01)  # of the rate that it began with: never lower
    # Of the scans, only measured on: what the plateau follows, and what an epoch is chosen by. 0:
    # the same is measured on slices that training sees too.
    held_out: Share = later(0.0)
    keep_epochs: CountOrNone = later(0)  # every so many, with numbers and a picture; 0: the last

    batch: Count = 10  # pairs of slices in a step, over all processes together
    steps_per_epoch: CountOrNone = 0  # 0: as many as show each slice of the larger side once
    precision: Precision = "bf16"
    workers: CountOrNone = 0  # processes that read ahead
    seed: CountOrNone = 0
    save_every: Count = 500  # steps, as the next two
    log_every: Count = 50
    picture_every: Count = 500

    def __post_init__(self) -> None:
        if self.segmenter and self.size % GRID_MULTIPLE:
            raise ValueError(f"size: {self.size} must be a multiple of {GRID_MULTIPLE}")

    @property
    def channels(self) -> int:
        """Slices that the networks see at once."""
        return 2 * self.neighbours + 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ApplySettings:
    """How whole scans are translated."""

    mirrored: bool = True  # average over the slice as it is and mirrored
    low_sigma: Positive = 24.0  # voxels in plane; what is coarser counts as shading
    z_sigma: NotNegative = 1.0  # slices over which shading is smoothed; 0: not at all
    slices: Count = 8  # at a time


@dataclass(frozen=True)
class TranslateSettings:
    """The stage: one style for all target scans, or the site of each as its style."""

    styles: Literal["one", "by_site"] = "one"
    training: TranslatorSettings = TranslatorSettings()
    apply: ApplySettings = ApplySettings()
    epoch: CountOrNone = later(0)  # a kept one to translate with; 0: see ``epochs.choose_epoch``

    def __post_init__(self) -> None:
        if self.training.styles:
            raise ValueError("training.styles follows from the scans; set styles: by_site")
