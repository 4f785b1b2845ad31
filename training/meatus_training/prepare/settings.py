"""Settings of the preparation: what the networks will see of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from meatus import __version__
from meatus.spec import (
    Crop,
    Normalisation,
    PhysicalCrop,
    ReferenceCrop,
    Spec,
    VolumeNormalisation,
    Window,
)
from meatus_training.settings_files import later

WholeTumour = Literal["refuse", "extra"]


@dataclass(frozen=True)
class PrepareSettings:
    """Crop, in-plane grid and intensities, by the rules that travel with the weights."""

    crop: Crop = field(default_factory=PhysicalCrop)
    normalisation: Normalisation = field(default_factory=VolumeNormalisation)
    # Label maps of 2021 and 2022 hold the tumour as one class. Which part a voxel belongs to
    # is not to be had from them: "refuse" them, or call all of it "extra"-meatal.
    whole_tumour: WholeTumour = "refuse"
    # Slices for the translator, of so many voxels along y and x, cut from the scan itself: drawn
    # from arrays of another size they would have been interpolated twice. 0: none are kept.
    translation_size: int = later(0)

    def __post_init__(self) -> None:
        if self.translation_size and not isinstance(self.crop, ReferenceCrop):
            raise ValueError("translation_size goes with a reference crop; set it to 0")
        if self.translation_size < 0:
            raise ValueError("translation_size must not be negative")

    def spec(self) -> Spec:
        """What ``meatus.preprocess`` wants; what concerns the weights alone is left blank."""
        return Spec(
            name="",
            crop=self.crop,
            normalisation=self.normalisation,
            window=Window(),
            trained_on="",
            licence="",
            date="",
            training_version=__version__,
            width=1,
            blocks=1,
        )
