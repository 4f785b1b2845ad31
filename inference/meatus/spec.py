"""What the pipeline must know about a set of weights; it travels in the ONNX file's metadata."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from meatus.errors import WeightsError, first_fault
from meatus.structures import CLASS_NAMES

# What a network is shown: the whole field; the regions about the ears, once a scout has found them;
# or the whole field coarsely, to find them.
Look: TypeAlias = Literal["field", "ears", "scout"]
# Which a network was trained with, so that a mean over them helps: across the axes z, y and x of a
# window, or across x alone, as a patient's two sides are alike.
Flips: TypeAlias = Literal["all", "left-right"]

METADATA_KEY = "meatus"
FORMAT = 1

NO_REAL_SCAN = "no real scan"  # of ``trained_on``, where no forerunner saw one either


@dataclass(frozen=True)
class ReferenceCrop:
    """The published rule: the middle 10/16 of each in-plane axis, by voxel counts.

    Images up to 350 voxels stay whole; of elongated ones only the longer axis is cut. The
    result is padded to a square and sampled, corners aligned, at ``size`` (x, y) voxels.
    """

    rule: Literal["reference"] = "reference"
    size: tuple[int, int] = (384, 384)


@dataclass(frozen=True)
class PhysicalCrop:
    """A field of ``size`` (x, y) voxels of ``spacing_mm`` about the head's centre.

    Slices thinner than ``thin_slice_mm`` are resampled to ``slice_mm``; others stay as they are.
    """

    rule: Literal["physical"] = "physical"
    size: tuple[int, int] = (288, 256)
    spacing_mm: float = 0.5
    thin_slice_mm: float = 0.75
    slice_mm: float = 1.0


@dataclass(frozen=True)
class SliceNormalisation:
    """The published scaling: each slice's percentiles become -1 and 1.

    Slices whose range is at most ``min_range`` are left out (ends) or set to 0 (inside): in
    thousandths of what the scan's slices usually span, since scanners scale as they like. Those
    that the published code was made for span about 1000.
    """

    kind: Literal["slice"] = "slice"
    lower: float = 5.0
    upper: float = 95.0
    min_range: float = 10.0


@dataclass(frozen=True)
class VolumeNormalisation:
    """The whole volume's percentiles become -1 and 1, empty parts of the field not counted.

    ``power`` below one lifts dark tissue before the scaling to [-1, 1].
    """

    kind: Literal["volume"] = "volume"
    lower: float = 0.5
    upper: float = 99.0
    power: float = 0.5


# Told apart by what each calls itself, so that a mistake in one is not reported for all.
Crop: TypeAlias = Annotated[ReferenceCrop | PhysicalCrop, Field(discriminator="rule")]
Normalisation: TypeAlias = Annotated[
    SliceNormalisation | VolumeNormalisation, Field(discriminator="kind")
]


@dataclass(frozen=True)
class Window:
    """How a scan is cut along z: slices a window holds, and how many neighbours share."""

    depth: int = 40
    overlap: int = 8


@dataclass(frozen=True)
class Spec:
    """One set of weights: how its input is made, what its output means, where it comes from."""

    name: str
    crop: Crop
    normalisation: Normalisation
    window: Window
    trained_on: str
    licence: str
    date: str  # ISO 8601
    training_version: str
    width: int
    blocks: int
    precision: Literal["fp32", "fp16"] = "fp32"
    softmax: bool = True  # whether the graph ends in a softmax
    classes: tuple[str, ...] = CLASS_NAMES
    look: Look = "field"
    flips: Flips = "all"
    history: tuple[str, ...] = ()  # "name: trained on" of each forerunner, the latest first
    format: int = FORMAT

    @property
    def origin(self) -> str:
        """What it was trained on, in a few words."""
        first = self.trained_on.partition("; ")[0]
        if not self.history or NO_REAL_SCAN in first:
            return first
        return f"{first}, fine-tuned from {self.history[0].partition(': ')[0]}"

    def same_input(self, other: Spec) -> bool:
        """Whether both see the same prepared scan, so that their outputs can be averaged."""
        return (self.crop, self.normalisation, self.window, self.classes, self.look) == (
            other.crop,
            other.normalisation,
            other.window,
            other.classes,
            other.look,
        )


_SPEC = TypeAdapter(Spec)


def spec_to_json(spec: Spec) -> str:
    return _SPEC.dump_json(spec).decode()


def spec_from_json(text: str, file: str) -> Spec:
    """The spec stored in ``file``.

    Raises ``WeightsError`` where an entry is missing, of the wrong kind, or of another format.
    """
    try:
        spec = _SPEC.validate_json(text)
    except ValidationError as error:
        raise WeightsError(
            f"{file}: the weights' metadata is not usable {first_fault(error)}. "
            "Export the weights again with this version of the training code."
        ) from error
    if spec.format != FORMAT or spec.classes != CLASS_NAMES:
        raise WeightsError(
            f"{file}: metadata format {spec.format} with classes {', '.join(spec.classes)}; "
            f"expected format {FORMAT} with {', '.join(CLASS_NAMES)}. "
            "Export the weights again with this version of the training code."
        )
    return spec
