"""What flows through the pipeline: ``Scan -> Prepared -> Probabilities -> Labels``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Array, Geometry, filled_box


@dataclass(frozen=True)
class Scan:
    """One hrT2 volume as it lies in its file."""

    voxels: Array  # (Z, Y, X) float32, the file's own axis order
    geometry: Geometry
    header: bytes | None = None  # the NIfTI header, for a label map that overlays exactly
    warnings: tuple[str, ...] = ()  # what had to be assumed or repaired to read the file


@dataclass(frozen=True)
class Prepared:
    """What the network sees: axial, cropped, on the weights' in-plane grid, in [-1, 1]."""

    voxels: Array  # (Z, Y, X)
    geometry: Geometry
    field: Geometry  # the scan's own voxels (axial) that went into it; the rest is padding


@dataclass(frozen=True)
class Probabilities:
    """Class probabilities; they sum to one over the channels."""

    voxels: Array  # (C, Z, Y, X)
    geometry: Geometry
    field: Geometry  # the scan's own voxels (axial) that the network saw
    looked: str = ""  # where the ensemble looked closely, and why, in words


@dataclass(frozen=True)
class Labels:
    """A label map with the numbers of ``Structure``."""

    voxels: NDArray[np.uint8]  # (Z, Y, X)
    geometry: Geometry
    header: bytes | None = None

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The smallest box (z, y, x) that holds what is labelled, which is little of a scan."""
        return filled_box(self.voxels)

    @property
    def boxed(self) -> Labels:
        """The labels in ``box`` alone, on its grid."""
        z, y, x = self.box
        size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
        grid = self.geometry.crop((x.start, y.start, z.start), size)
        return replace(self, voxels=self.voxels[self.box], geometry=grid)


@dataclass(frozen=True)
class Certainty:
    """What an ensemble's probabilities say of the label map made from them; None: not known."""

    confidence: float | None = None  # mean probability of the chosen class where one is chosen
    expected_dice: float | None = None  # of the tumour that is marked; None without one
    elsewhere_mm3: float | None = None  # of tumour that is expected where none is marked


UNKNOWN = Certainty()


Extent = tuple[int, int]  # the first index, and one past the last


@dataclass(frozen=True)
class Appearance:
    """What a scan shows, whatever is found in it."""

    slices: int = 0
    empty_slices: tuple[int, ...] = ()  # that show nothing, counted from 1 as they lie in the file
    # Between which planes across array axes z, y, x there is anything to be seen; None: not known.
    shown: tuple[Extent, Extent, Extent] | None = None
    doubts: tuple[str, ...] = ()  # why it does not look like hrT2


UNSEEN = Appearance()


@dataclass(frozen=True)
class Segmented:
    """A label map and how it came about."""

    labels: Labels  # on the scan's own grid
    certainty: Certainty = UNKNOWN
    appearance: Appearance = UNSEEN
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    # On the network's grid. None where labels were voted on, or once they are no longer needed.
    probabilities: Probabilities | None = None
    looked: str = ""  # where the ensemble looked closely, and why, in words
    misplaced_mm3: float = 0.0  # of what would be a tumour if one could lie where no ear is
    keeps_misplaced: bool = False  # whether that is in the labels
    passed_over_mm3: float = 0.0  # of a piece that went for a smaller one with more in the meatus
