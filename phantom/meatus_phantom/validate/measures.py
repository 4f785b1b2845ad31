"""What is measured on one scan whose tissues are known: brightness, noise, edges, spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, generate_binary_structure

from meatus.geometry import Array, Geometry
from meatus.structures import TUMOUR, Structure
from meatus_phantom.tissues import Tissue

Mask = NDArray[np.bool_]

BRAIN = (Tissue.PONS, Tissue.CEREBELLAR_WHITE, Tissue.CEREBELLAR_CORTEX, Tissue.GREY, Tissue.WHITE)
DARK = (Tissue.AIR, Tissue.BONE)
GROUPS: dict[str, tuple[Tissue, ...]] = {
    "CSF": (Tissue.CSF,),
    "brain": (Tissue.PONS, Tissue.CEREBELLAR_WHITE),
    "tumour": (Tissue.TUMOUR,),
    "fat": (Tissue.FAT,),
    "muscle": (Tissue.MUSCLE,),
    "marrow": (Tissue.MARROW,),
    "mucosa": (Tissue.MUCOSA,),
    "vein": (Tissue.VEIN,),
    "artery": (Tissue.ARTERY,),
    "vitreous": (Tissue.VITREOUS,),
    "dentate": (Tissue.DENTATE,),
    "bone": (Tissue.BONE,),
}
FEWEST_VOXELS = 40  # of a tissue's inside, for a median worth its name
HIDDEN_MARGIN_MM = 5.0  # a face's hidden front may be tilted
CORNER_MM = 18.0  # width of the picture's corners, which hold air alone
CORNER_EDGE = 4  # voxels left free at the picture's border

BOTH_VISIBLE_MM = 40.0  # from the right cochlea's to the left one's outer end, at least
ONE_SIDED = 0.9  # of a tumour's voxels


@dataclass(frozen=True)
class Known:
    """A stored scan with the tissue that fills most of each voxel, both (Z, Y, X)."""

    voxels: Array
    tissues: NDArray[np.uint8]
    geometry: Geometry
    row: Mapping[str, str]  # of cohort.csv

    @property
    def kept(self) -> tuple[float, float]:
        """Share of k-space that was acquired along x and y."""
        read, phase = float(self.row["effect_kept_read"]), float(self.row["effect_kept_phase"])
        return (read, phase) if self.row["effect_read_along_x"] == "True" else (phase, read)

    def visible(self) -> Mask:
        """Where the face is not hidden (Z, Y, X)."""
        front = self.row.get("deface_front_mm", "")
        if not front:
            return np.ones(self.voxels.shape, dtype=bool)
        return anterior_mm(self.geometry) < float(front) - HIDDEN_MARGIN_MM


def anterior_mm(geometry: Geometry) -> Array:
    """How far forward (anterior of the scanner's origin) each voxel lies, (Z, Y, X)."""
    place = np.full(geometry.shape, -geometry.origin_mm[1], dtype=np.float32)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[2 - axis] = geometry.size[axis]
        step = -geometry.axes[1, axis] * geometry.spacing_mm[axis]
        place += (step * np.arange(geometry.size[axis], dtype=np.float32)).reshape(shape)
    return place


def brightness(scan: Known) -> dict[str, float]:
    """Median intensity inside each group of tissues, of those that the scan shows enough of.

    For bone the lower quartile: what lies between the tables is bone with a share of marrow.
    """
    visible = scan.visible()
    levels = {}
    for name, group in GROUPS.items():
        mask = np.isin(scan.tissues, group) & visible
        core = inside(mask, through=True)
        core = core if core.sum() >= FEWEST_VOXELS else inside(mask)
        if core.sum() >= FEWEST_VOXELS:
            levels[name] = float(np.percentile(scan.voxels[core], 25 if name == "bone" else 50))
    return levels


def inside(mask: Mask, steps: int = 1, *, through: bool = False) -> Mask:
    """``mask`` (Z, Y, X) less its border in plane, which other tissues share; or all round."""
    neighbours = generate_binary_structure(3, 1)
    if not through:
        neighbours[[0, 2]] = False
    return np.asarray(binary_erosion(mask, neighbours, iterations=steps))


def corner_air(scan: Known) -> list[Array]:
    """Intensities in those corners of the picture that hold nothing but air.

    Corners, since ghosts of bright structures cross the picture's middle rows or columns alone.
    """
    occupied = (
        np.flatnonzero(scan.voxels.any(axis=(0, 1))),
        np.flatnonzero(scan.voxels.any(axis=(0, 2))),
    )
    if not len(occupied[0]):
        return []
    spans = []
    for found, width_mm in zip(occupied, scan.geometry.spacing_mm, strict=False):
        first, last = int(found[0]) + CORNER_EDGE, int(found[-1]) + 1 - CORNER_EDGE
        width = round(CORNER_MM / width_mm)
        spans.append((slice(first, first + width), slice(max(last - width, 0), last)))
    head = binary_dilation(scan.tissues != Tissue.AIR, np.ones((1, 5, 5)))
    corners = []
    for rows in spans[1]:
        for columns in spans[0]:
            air = ~head[:, rows, columns]
            if air.all() and air.size:
                corners.append(scan.voxels[:, rows, columns])
    return corners


@dataclass(frozen=True)
class LabelMeasures:
    """One label map in numbers; volumes in mm3."""

    extra_mm3: float
    intra_mm3: float
    cochlea_mm3: float
    cochleae_mm3: tuple[float, ...]  # of each side that lies wholly in the scan
    apart_mm: float | None  # between the cochleae's centres, where both are whole
    side: str  # "L", "R", "LR" or "" where there is no tumour or no midline
    stray: int  # voxels of no known class

    @property
    def tumour_mm3(self) -> float:
        return self.extra_mm3 + self.intra_mm3


def measure_labels(labels: NDArray[np.uint8], geometry: Geometry) -> LabelMeasures:
    """Measure ``labels`` (Z, Y, X)."""
    counts = np.bincount(labels.ravel(), minlength=len(Structure))
    volumes = counts * geometry.voxel_mm3
    right, left = _cochleae(labels, geometry)
    whole = [at for at in (right, left) if len(at) and not _cut(at, labels.shape)]
    centres = [_position_mm(at, geometry).mean(axis=0) for at in (right, left) if len(at)]
    apart = float(np.linalg.norm(centres[0] - centres[1])) if len(whole) == 2 else None
    midline = float(np.mean([c[0] for c in centres])) if len(centres) == 2 else None
    return LabelMeasures(
        extra_mm3=float(volumes[Structure.EXTRA_MEATAL]),
        intra_mm3=float(volumes[Structure.INTRA_MEATAL]),
        cochlea_mm3=float(volumes[Structure.COCHLEA]),
        cochleae_mm3=tuple(len(at) * geometry.voxel_mm3 for at in whole),
        apart_mm=apart,
        side=_side(labels, geometry, midline),
        stray=int(counts[len(Structure) :].sum()),
    )


def _cochleae(
    labels: NDArray[np.uint8], geometry: Geometry
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Voxel indices (N, 3) of the right and the left cochlea; both empty where one is missing."""
    at = np.argwhere(labels == Structure.COCHLEA)
    if not len(at):
        return at, at
    x = _position_mm(at, geometry)[:, 0]
    if np.ptp(x) < BOTH_VISIBLE_MM:
        return at[:0], at[:0]
    middle = (x.min() + x.max()) / 2
    return at[x < middle], at[x >= middle]


def _cut(at: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    """Whether the scan's border touches what lies at ``at``."""
    return bool((at.min(axis=0) == 0).any() or (at.max(axis=0) == np.array(shape) - 1).any())


def _position_mm(at: NDArray[np.intp], geometry: Geometry) -> NDArray[np.float64]:
    """Patient positions (N, 3), LPS, of voxel indices (N, 3) in the array's order."""
    steps = geometry.axes * np.array(geometry.spacing_mm)
    return np.asarray(at[:, ::-1] @ steps.T + np.array(geometry.origin_mm))


def _side(labels: NDArray[np.uint8], geometry: Geometry, midline: float | None) -> str:
    at = np.argwhere(np.isin(labels, TUMOUR))
    if not len(at) or midline is None:
        return ""
    left = float((_position_mm(at, geometry)[:, 0] > midline).mean())
    return "L" if left > ONE_SIDED else "R" if left < 1 - ONE_SIDED else "LR"
