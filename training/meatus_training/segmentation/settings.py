"""Settings of the segmentation stage; saved in the checkpoint that they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from meatus.spec import Look
from meatus.windows import GRID_MULTIPLE
from meatus_phantom.tissue_maps import SubjectSettings
from meatus_phantom.windows.settings import RenderSettings
from meatus_training.augmentation import AugmentSettings
from meatus_training.losses import SegLossSettings
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.launch import Precision
from meatus_training.settings_files import later

Share = Annotated[float, Field(ge=0, le=1)]
Source = Literal["source", "translated", "target", "phantoms"]

# Settings that may change between two starts of one training without changing its result.
FREE = (
    "minutes",
    "workers",
    "save_every",
    "log_every",
    "picture_every",
    "keep_every",
    "augment_on_gpu",
)


@dataclass(frozen=True)
class PhantomSource:
    """The phantoms that windows are rendered from, and how."""

    subjects: SubjectSettings = field(default_factory=SubjectSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    # Of windows, of subjects with the largest quarter of tumours: patients who are scanned have
    # larger ones than subjects drawn at random.
    large_share: Share = later(0.0)
    # Of windows, of subjects without a tumour, beside those that are drawn like any other: most
    # canals that are scanned hold none.
    healthy_share: Share = later(0.0)
    # Subjects whose maps are there before the first step, and steps after which another joins;
    # the rest is made while the training goes on. 0: all from the first step on.
    first_subjects: int = later(0)
    subject_every: int = later(0)

    def __post_init__(self) -> None:
        if self.large_share + self.healthy_share > 1:
            raise ValueError("large_share and healthy_share must not be more than 1 together")
        if min(self.first_subjects, self.subject_every) < 0:
            raise ValueError("first_subjects and subject_every must not be negative")
        if (self.first_subjects > 0) != (self.subject_every > 0):
            raise ValueError("first_subjects and subject_every are both 0, or neither is")

    def shown(self, step: int) -> int:
        """How many subjects the windows of ``step`` are of."""
        if not self.first_subjects:
            return self.subjects.subjects
        return min(self.subjects.subjects, self.first_subjects + step // self.subject_every)


@dataclass(frozen=True)
class SegmentSettings:
    """Training of one segmentation network. The defaults are those of the paper.

    Windows are (Z, Y, X). The first part of the training sees windows of ``patch``, the last one
    whole slices, as inference cuts them; or, and of phantoms always, whole ones come in between.
    """

    FORMER_KEYS: ClassVar[Mapping[str, str]] = {
        "at_once": "micro_batch",
        "near_structures": "foreground_oversampling",
        "whole_share": "full_field_fraction",
        "whole_depth": "full_field_depth",
    }

    train_on: Source = "translated"
    width: int = 32
    blocks: int = 3
    depth: int = 40  # slices of a window at inference, and of the last part of the training
    patch: tuple[int, int, int] = (40, 384, 384)
    full_field_fraction: float = 0.0  # of the training on windows of whole slices
    # Of scans: at its end, or spread over all of it, as of phantoms.
    full_field_order: Literal["last", "mixed"] = later("last")
    full_field_depth: int = 0  # slices of whole windows that are spread; 0: as ``depth``
    foreground_oversampling: float = 0.0  # share of windows centred near a labelled voxel

    batch: int = 10  # windows in a step, over all processes together
    # Windows in one pass, over which the Dice is taken; a step adds up the gradients of several
    # passes. 0: as many as the GPU's memory holds; one on a processor.
    micro_batch: int = 1
    epochs: int = 200  # of all scans, one window of each; see ``steps``
    steps: int = 0  # 0: as ``epochs`` says
    minutes: float = 0.0  # after which the schedule has run its course; 0: whatever it takes
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    warm_up: int = 50  # steps
    last_rate: float = 0.0  # at the end of the cosine, as a share of ``learning_rate``
    clip: float = 0.1  # norm of the gradients
    precision: Precision = "bf16"
    ema: float = 0.0  # of the weights, per step; 0: the last weights are the result
    look: Look = later("field")  # what inference shows the network
    initialisation: Literal["torch", "he"] = later("torch")  # of fresh weights
    background_bias: float = 0.0  # of fresh heads; a canal is one voxel in a thousand

    loss: SegLossSettings = field(default_factory=SegLossSettings)
    augmentation: AugmentSettings = field(default_factory=AugmentSettings)
    phantoms: PhantomSource = field(default_factory=PhantomSource)

    seed: int = 0
    workers: int = 0  # processes that read ahead
    augment_on_gpu: bool = True  # where there is one; else in the workers
    save_every: int = 100  # steps, as the next two
    log_every: int = 20
    picture_every: int = 500
    # Steps after which the network is kept beside the last one, so that ``export`` can take the
    # mean of several; 0: never.
    keep_every: int = later(0)

    def __post_init__(self) -> None:
        if any(extent % GRID_MULTIPLE for extent in self.patch[1:]):
            raise ValueError(f"patch: {self.patch[1:]} must be multiples of {GRID_MULTIPLE}")
        if min(self.patch) < 1 or min(self.width, self.blocks, self.depth) < 1:
            raise ValueError("patch, width, blocks and depth must be positive")
        if self.batch < 1 or self.micro_batch < 0 or self.batch % max(self.micro_batch, 1):
            raise ValueError(
                f"micro_batch: {self.micro_batch} must divide the batch of {self.batch}"
            )
        if not (self.steps or self.epochs or self.minutes):
            raise ValueError("steps, epochs and minutes are all 0; one must end the training")
        if (
            min(
                self.steps,
                self.epochs,
                self.minutes,
                self.seed,
                self.workers,
                self.full_field_depth,
                self.keep_every,
            )
            < 0
        ):
            raise ValueError(
                "steps, epochs, minutes, seed, workers, full_field_depth and keep_every "
                "must not be negative"
            )
        if min(self.save_every, self.log_every, self.picture_every) < 1:
            raise ValueError("save_every, log_every and picture_every must be positive")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
