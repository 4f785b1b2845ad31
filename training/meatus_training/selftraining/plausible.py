"""What no ear looks like: volumes, pieces and places of a label map against anatomy.

Volumes are bounded by crossMoDA 2023's 227 labelled scans (smallest and largest: extra-meatal
0 and 26.95 cm3, intra-meatal 0.02 and 0.93, both cochleae together 0.07 and 0.38).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import LabelMap, Mask, components
from meatus.geometry import Geometry
from meatus.structures import CLASS_NAMES, TUMOUR, Structure
from meatus_training.selftraining.morphology import dilate

Point = NDArray[np.float64]  # (3,) patient position in mm, LPS


@dataclass(frozen=True)
class Anatomy:
    """Bounds on a label map; volumes in mm3, lengths in mm."""

    extra_mm3: tuple[float, float] = anatomy.EXTRA_MEATAL_MM3
    intra_mm3: tuple[float, float] = anatomy.INTRA_MEATAL_MM3
    cochleae_mm3: tuple[float, float] = anatomy.BOTH_COCHLEAE_MM3
    slack: float = 0.2  # beyond either bound: other scans than those of the table
    main_share: float = 0.9  # of a structure's voxels that its largest piece must hold
    speck_mm3: float = 5.0  # a piece below this does not count as a second cochlea
    joining_mm: float = anatomy.COCHLEAR_DUCT_MM
    apart_mm: tuple[float, float] = anatomy.COCHLEAS_APART_POSSIBLE_MM
    canal_mm: tuple[float, float] = anatomy.CANAL_TO_COCHLEA_MM  # middle to middle
    tumour_needed: bool = True  # 226 of 227 labelled scans have an intra-meatal part
    near_border_mm: float = 5.0  # no cochlea is missed whose place is this near, or outside


def objections(labels: LabelMap, geometry: Geometry, rules: Anatomy = Anatomy()) -> tuple[str, ...]:
    """Everything about ``labels`` (Z, Y, X) that no ear looks like; empty if plausible."""
    cochleae = cochlea_pieces(labels, geometry, rules)
    return (
        *_volume_objections(labels, geometry, rules, len(cochleae)),
        *_cochlea_objections(cochleae, geometry, rules),
        *_tumour_objections(labels, geometry, rules, cochleae),
    )


def cochlea_pieces(labels: LabelMap, geometry: Geometry, rules: Anatomy) -> list[Point]:
    """The middle of each cochlea that is no speck, largest first.

    Pieces with a gap up to ``joining_mm``, a turn that was missed, are one.
    """
    mask = labels == Structure.COCHLEA
    numbers, _ = components(dilate(mask, rules.joining_mm / 2, geometry))
    numbers = numbers * mask
    sizes = np.bincount(numbers[mask], minlength=1)
    large = [n for n in np.argsort(-sizes) if sizes[n] * geometry.voxel_mm3 >= rules.speck_mm3]
    return [middle_mm(numbers == number, geometry) for number in large if number]


def middle_mm(mask: Mask, geometry: Geometry) -> Point:
    """Patient position of the mean voxel of ``mask`` (Z, Y, X)."""
    z, y, x = (float(part) for part in np.argwhere(mask).mean(axis=0))
    return np.array(geometry.position_mm((x, y, z)))


def _volume_objections(
    labels: LabelMap, geometry: Geometry, rules: Anatomy, cochleae: int
) -> Iterator[str]:
    volumes = np.bincount(labels.ravel(), minlength=len(Structure)) * geometry.voxel_mm3
    share = 0.5 if cochleae == 1 else 1.0  # one side of two
    bounds = {
        Structure.EXTRA_MEATAL: rules.extra_mm3,
        Structure.INTRA_MEATAL: rules.intra_mm3,
        Structure.COCHLEA: (share * rules.cochleae_mm3[0], share * rules.cochleae_mm3[1]),
    }
    if not rules.tumour_needed and not volumes[list(TUMOUR)].any():
        del bounds[Structure.INTRA_MEATAL]
    for structure, (low, high) in bounds.items():
        volume, name = volumes[structure], CLASS_NAMES[structure]
        if volume < low * (1 - rules.slack):
            yield f"{name}: {volume:.0f} mm3, expected at least {low:.0f}"
        if volume > high * (1 + rules.slack):
            yield f"{name}: {volume:.0f} mm3, expected at most {high:.0f}"


def _cochlea_objections(cochleae: list[Point], geometry: Geometry, rules: Anatomy) -> Iterator[str]:
    if len(cochleae) > 2:
        yield f"cochlea: {len(cochleae)} pieces, expected one per side"
    elif len(cochleae) == 2:
        apart = float(np.linalg.norm(cochleae[0] - cochleae[1]))
        if not rules.apart_mm[0] <= apart <= rules.apart_mm[1]:
            low, high = rules.apart_mm
            yield f"cochlea: sides {apart:.0f} mm apart, expected {low:.0f} to {high:.0f}"
    elif len(cochleae) == 1 and not _other_is_outside(cochleae[0], geometry, rules):
        yield "cochlea: on one side only, and the scan shows the other side"


def _other_is_outside(cochlea: Point, geometry: Geometry, rules: Anatomy) -> bool:
    """Whether the place of the other cochlea lies beyond the scan, on either side of this one."""
    apart = np.array([np.mean(rules.apart_mm), 0, 0])
    last = np.array(geometry.size) - 1
    inside = []
    for place in (cochlea - apart, cochlea + apart):
        offset = geometry.axes.T @ (place - np.array(geometry.origin_mm))
        margin = rules.near_border_mm / np.array(geometry.spacing_mm)
        index = offset / np.array(geometry.spacing_mm)
        inside.append(bool((index >= margin).all() and (index <= last - margin).all()))
    return not any(inside)


def _tumour_objections(
    labels: LabelMap, geometry: Geometry, rules: Anatomy, cochleae: list[Point]
) -> Iterator[str]:
    extra, intra = (labels == part for part in TUMOUR)
    for mask, name in ((extra | intra, "tumour"), (intra, CLASS_NAMES[Structure.INTRA_MEATAL])):
        _, sizes = components(mask)
        if sizes.sum() and sizes.max() < rules.main_share * sizes.sum():
            yield f"{name}: largest piece holds {sizes.max() / sizes.sum():.0%} of it"
    if not intra.any() or not cochleae:
        return
    canal = middle_mm(intra, geometry)
    distances = [float(np.linalg.norm(canal - cochlea)) for cochlea in cochleae]
    own = cochleae[int(np.argmin(distances))]
    if not rules.canal_mm[0] <= min(distances) <= rules.canal_mm[1]:
        low, high = rules.canal_mm
        found = f"{min(distances):.0f} mm from a cochlea"
        yield f"intra_meatal: {found}, expected {low:.0f} to {high:.0f}"
    if len(cochleae) == 2:
        midline = (cochleae[0][0] + cochleae[1][0]) / 2
        yield from _side_objections(canal, own, float(midline), extra, geometry)


def _side_objections(
    canal: Point, cochlea: Point, midline: float, extra: Mask, geometry: Geometry
) -> Iterator[str]:
    """A canal lies on its cochlea's side, nearer the midline; what grows out of it, nearer yet."""
    side = np.sign(cochlea[0] - midline)
    if side * (canal[0] - midline) < 0 or side * (canal[0] - cochlea[0]) > 0:
        yield "intra_meatal: not between its cochlea and the midline"
    if extra.any() and side * (middle_mm(extra, geometry)[0] - canal[0]) > 0:
        yield "extra_meatal: further out than the canal it grows from"
