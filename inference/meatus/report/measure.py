"""What a label map says in numbers: volumes, side, diameter, and what to look at twice.

Sides are the patient's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import LabelMap, Mask, components
from meatus.geometry import Geometry, axial, reorient
from meatus.laterality import split_sides
from meatus.report import flags
from meatus.structures import CLASS_NAMES, TUMOUR, Structure
from meatus.volumes import UNKNOWN, UNSEEN, Appearance, Certainty, Labels, Segmented

Components = tuple[NDArray[np.int32], NDArray[np.int64]]  # numbers (Z, Y, X), sizes
Index = NDArray[np.float64] | NDArray[np.int64]
Points = NDArray[np.float64]  # (n, 3): x, y, z in the patient, LPS+
Side = Literal["right", "left", "both", "none"]

# Between the middles of the cochleas: the middle of what is measured in adults.
BETWEEN_EARS_MM = sum(anatomy.COCHLEAS_APART_MM) / 2


@dataclass(frozen=True)
class Volumes:
    extra_meatal_mm3: float = 0.0
    intra_meatal_mm3: float = 0.0
    whole_vs_mm3: float = 0.0
    cochlea_mm3: float = 0.0


@dataclass(frozen=True)
class Measures:
    """The numbers of one label map."""

    total: Volumes
    right: Volumes
    left: Volumes
    tumour_side: Side
    extra_meatal_diameter_mm: float  # largest in an axial slice (Kanzaki 2003); 0 without
    cochleas: int  # 0, 1, or 2 where two lie on different sides
    cochleas_apart_mm: float | None  # between their middles
    tumour_to_cochlea_mm: float | None  # the gap on the same side; the largest of both sides
    at_border: tuple[str, ...]  # structures with a voxel on the outermost plane of the scan
    spacing_mm: tuple[float, float, float]  # of the axial view: two in the slice, one between
    slices: int  # of the axial view
    certainty: Certainty = UNKNOWN
    cochleas_turned_deg: float | None = None  # their line, from the patient's left-right axis
    flags: tuple[str, ...] = ()  # plain sentences about what to look at twice


def measure_found(found: Segmented, one_ear_mm: float = anatomy.ONE_EAR_MM) -> Measures:
    """Measure what was found in a scan, and judge it by the scan too; see ``measure``."""
    measured = measure(found.labels, found.certainty, one_ear_mm, found.appearance)
    doubts = (
        flags.misplaced(found.misplaced_mm3, kept=found.keeps_misplaced),
        flags.passed_over(found.passed_over_mm3),
    )
    return replace(measured, flags=(*filter(None, doubts), *measured.flags))


def measure(
    labels: Labels,
    certainty: Certainty = UNKNOWN,
    one_ear_mm: float = anatomy.ONE_EAR_MM,
    appearance: Appearance = UNSEEN,
) -> Measures:
    """Measure a label map of any axis order; ``certainty`` is passed on and judged.

    So is what its scan looks like, its ``appearance``: the scan ends where it shows nothing more.

    Cochlea that spans less than ``one_ear_mm`` is of one ear: pass the value of the rules that
    the labels were cleaned by.
    """
    grid = axial(labels.geometry)
    whole = reorient(labels.voxels, labels.geometry, grid)
    cropped, box = _cropped(whole, grid)
    ears = _ears(_points(cropped == Structure.COCHLEA, box), one_ear_mm)
    tumours = components(structure_masks(cropped)["whole_vs"])
    on_left = _on_left(ears, tumours, box, grid)
    right, left = (_volumes(cropped, side, box) for side in (~on_left, on_left))
    found = Measures(
        total=_volumes(cropped, np.ones_like(on_left), box),
        right=right,
        left=left,
        tumour_side=_side(right, left),
        extra_meatal_diameter_mm=extra_meatal_diameter_mm(cropped, box),
        cochleas=len(ears),
        cochleas_apart_mm=_apart_mm(ears),
        tumour_to_cochlea_mm=_gap_mm(cropped, on_left, box),
        at_border=_at_border(_shown(labels.voxels, appearance)),
        spacing_mm=grid.spacing_mm,
        slices=grid.size[2],
        certainty=certainty,
        cochleas_turned_deg=_turned_deg(ears),
    )
    return replace(found, flags=_flags(found, appearance))


def structure_masks(labels: LabelMap) -> dict[str, Mask]:
    """The reported structures of a label map, each of its shape; the tumour also as a whole."""
    extra, intra = (labels == structure for structure in TUMOUR)
    return {
        "extra_meatal": extra,
        "intra_meatal": intra,
        "whole_vs": extra | intra,
        "cochlea": labels == Structure.COCHLEA,
    }


def _cropped(voxels: LabelMap, grid: Geometry) -> tuple[LabelMap, Geometry]:
    """The smallest box (Z, Y, X) with all labels, or one voxel where there are none."""
    boxes = scipy.ndimage.find_objects((voxels > 0).view(np.uint8))
    z, y, x = boxes[0] if boxes else (slice(0, 1),) * 3
    size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    return voxels[z, y, x], grid.crop((x.start, y.start, z.start), size)


def _points(mask: Mask, grid: Geometry) -> Points:
    """Where the voxels of ``mask`` (Z, Y, X) lie in the patient."""
    steps_mm = np.argwhere(mask)[:, ::-1] * np.array(grid.spacing_mm)
    return np.asarray(grid.origin_mm + steps_mm @ grid.axes.T)


def _ears(cochlea: Points, one_ear_mm: float) -> list[Points]:
    """The cochlea's voxels as one group, or two, right first, where they are too far apart."""
    if not len(cochlea):
        return []
    left = split_sides(cochlea[:, 0], one_ear_mm)
    return [cochlea] if left is None else [cochlea[~left], cochlea[left]]


def _on_left(ears: list[Points], tumours: Components, box: Geometry, grid: Geometry) -> Mask:
    """Whether each voxel of ``box`` (Z, Y, X) is of the left side; a tumour is of one side."""
    numbers, sizes = tumours
    number = np.arange(1, sizes.size)
    centres = np.array(scipy.ndimage.center_of_mass(numbers > 0, numbers, number)).reshape(-1, 3)
    tumour_mm = _lateral_mm(box, *centres.T)
    midline_mm = _midline_mm(ears, tumour_mm[sizes[1:].argmax()] if number.size else None, grid)
    z, y, x = np.ogrid[: numbers.shape[0], : numbers.shape[1], : numbers.shape[2]]
    elsewhere = _lateral_mm(box, z, y, x) >= midline_mm
    return np.where(numbers > 0, np.append(False, tumour_mm >= midline_mm)[numbers], elsewhere)


def _lateral_mm(grid: Geometry, z: Index, y: Index, x: Index) -> NDArray[np.float64]:
    """The patient's x of voxels of ``grid``; the indices are broadcast."""
    steps = grid.axes[0] * np.array(grid.spacing_mm)
    return np.asarray(grid.origin_mm[0] + steps[0] * x + steps[1] * y + steps[2] * z)


def _midline_mm(ears: list[Points], tumour_mm: float | None, grid: Geometry) -> float:
    """The patient's x of the midline; halfway between the cochleas if there are two.

    From one it lies half the usual distance away, towards the largest tumour at
    ``tumour_mm``: of the same ear or of the other, a tumour is medial to the cochlea.
    """
    if len(ears) == 2:
        return float(sum(ear[:, 0].mean() for ear in ears)) / 2
    if ears and tumour_mm is not None:
        cochlea_mm = float(ears[0][:, 0].mean())
        return cochlea_mm + float(np.sign(tumour_mm - cochlea_mm)) * BETWEEN_EARS_MM / 2
    x, y, z = ((count - 1) / 2 for count in grid.size)
    return grid.position_mm((x, y, z))[0]


def _volumes(cropped: LabelMap, where: Mask, grid: Geometry) -> Volumes:
    counts = np.bincount(cropped[where], minlength=len(CLASS_NAMES))
    extra, intra, cochlea = (
        float(counts[s]) * grid.voxel_mm3 for s in (*TUMOUR, Structure.COCHLEA)
    )
    return Volumes(extra, intra, extra + intra, cochlea)


def _side(right: Volumes, left: Volumes) -> Side:
    if right.whole_vs_mm3 and left.whole_vs_mm3:
        return "both"
    if right.whole_vs_mm3:
        return "right"
    return "left" if left.whole_vs_mm3 else "none"


def _apart_mm(ears: list[Points]) -> float | None:
    if len(ears) < 2:
        return None
    return float(np.linalg.norm(ears[0].mean(axis=0) - ears[1].mean(axis=0)))


def _turned_deg(ears: list[Points]) -> float | None:
    if len(ears) < 2:
        return None
    across, *aside = ears[1].mean(axis=0) - ears[0].mean(axis=0)
    return math.degrees(math.atan2(math.hypot(*aside), across))


def _gap_mm(cropped: LabelMap, on_left: Mask, grid: Geometry) -> float | None:
    """Between tumour and cochlea of one side, centre to centre of the nearest two voxels."""
    gaps: list[float] = []
    masks = structure_masks(cropped)
    for side in (~on_left, on_left):
        tumour, cochlea = (_points(masks[name] & side, grid) for name in ("whole_vs", "cochlea"))
        if len(tumour) and len(cochlea):
            gaps.append(float(scipy.spatial.KDTree(cochlea).query(tumour)[0].min()))
    return max(gaps, default=None)


def _shown(voxels: LabelMap, appearance: Appearance) -> LabelMap:
    """The part of ``voxels`` (Z, Y, X) in which the scan shows anything."""
    if appearance.shown is None:
        return voxels
    z, y, x = (slice(first, end) for first, end in appearance.shown)
    return voxels[z, y, x]


def _at_border(voxels: LabelMap) -> tuple[str, ...]:
    """Structures on an outermost plane of ``voxels`` (Z, Y, X)."""
    shell = [voxels.take([0, -1], axis=axis) for axis in range(3)]
    present = set(np.unique(np.concatenate([planes.ravel() for planes in shell])).tolist())
    return tuple(CLASS_NAMES[structure] for structure in sorted(present - {Structure.BACKGROUND}))


def _flags(found: Measures, appearance: Appearance) -> tuple[str, ...]:
    tumour_mm3 = found.total.whole_vs_mm3
    judged = (
        flags.not_hrt2(appearance.doubts),
        flags.empty_slices(appearance.empty_slices, appearance.slices),
        flags.no_tumour(tumour_mm3, found.certainty.elsewhere_mm3),
        flags.no_part_in_meatus(tumour_mm3, found.total.intra_meatal_mm3),
        flags.both_sides(found.tumour_side),
        flags.missing_cochlea(found.cochleas),
        flags.cochleas_apart(found.cochleas_apart_mm),
        flags.cochleas_turned(found.cochleas_turned_deg),
        flags.tumour_far_from_ear(found.tumour_to_cochlea_mm),
        flags.at_border(found.at_border),
        flags.unusual_spacing(found.spacing_mm),
        flags.few_slices(found.slices),
        flags.low_confidence(found.certainty.confidence),
        flags.uncertain_outline(found.certainty.expected_dice),
    )
    return tuple(sentence for sentence in judged if sentence)


def extra_meatal_diameter_mm(voxels: NDArray[np.uint8], grid: Geometry) -> float:
    """The largest extent of the extra-meatal part in a slice of ``voxels`` (Z, Y, X), axial.

    Kanzaki et al., Otol Neurotol 2003: tumours are reported by the largest extra-meatal
    diameter on axial images. Taken from voxel edge to voxel edge. Separate tumours are not
    joined.
    """
    numbers, sizes = components(voxels == Structure.EXTRA_MEATAL)
    boxes = scipy.ndimage.find_objects(numbers)
    return max(
        (
            _extent_mm(plane, grid)
            for number in range(1, sizes.size)
            for plane in numbers[boxes[number - 1]] == number
            if plane.any()
        ),
        default=0.0,
    )


def _extent_mm(plane: NDArray[np.bool_], grid: Geometry) -> float:
    """The largest distance between two voxel corners of ``plane`` (Y, X), which is not empty.

    The two lie at the ends of their rows, so that only these are compared.
    """
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - plane[rows, ::-1].argmax(axis=1)
    corners = [(x, y) for ends in (first, last) for y in (rows, rows + 1) for x in (ends,)]
    points_mm = np.concatenate([np.stack(pair, axis=1) for pair in corners]) * grid.spacing_mm[:2]
    return float(scipy.spatial.distance.pdist(points_mm).max())
