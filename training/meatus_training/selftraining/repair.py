"""Mends pseudo-labels of tumour, cochlea and canal by the hrT2's own contrast.

Fluid is bright in hrT2, bone is nearly black, a tumour lies between. The idea, to let that
contrast and not the network draw the edges of what lies in fluid or in bone, is after LaTIM's
entry to crossMoDA 2022 (team of Sallé et al., "Cross-modal tumor segmentation using generative
blending augmentation and self-training", 2023); the steps and numbers are this project's own.

Each structure is taken alone, and only what lies within ``reach_mm`` of its pseudo-label may join.

Cochlea, each side apart:
 1. Otsu's threshold (1979) between fluid and bone, over all voxels within ``context_mm``.
 2. Within reach take the voxels above it that hang together with such voxels of the label.
    The label's own voxels stay from ``staying`` of the way between bone and threshold on.
 3. Fill the modiolus, which is dark: close gaps of twice ``modiolus_mm``, then fill holes in each
    slice, within reach.

Intra-meatal tumour, each side apart:
 1. Levels within ``context_mm``: bone, the 5th percentile; fluid, the 98th; tumour, the median of
    the pseudo-label. Edges lie halfway between two levels, where a voxel holds half of each.
 2. Drop the label's fluid (above the upper edge) and bone (below the lower one).
 3. Take what is as dark as the tumour (no further from it than ``band`` of the way to an edge)
    within reach and hangs together, face to face, with what is left; but nothing narrower than
    three voxels in the slice, for between bone and fluid lies a sheet as dark as a tumour.
 4. Keep the largest piece and fill what it encloses, noise and cysts, in each slice.

Fluid in the tumour (``without_fluid``, before a label map is cleaned), each piece apart:
 1. Levels in the box ``fluid_context_mm`` about it: bone, the 5th percentile; fluid, the 99.5th,
    for little of so large a box may be fluid.
 2. What lies ``fluid_share`` of the way from bone to fluid or higher is fluid, and goes; so does
    what is narrower then than three voxels in the slice: a sheet of mixed voxels.
 3. What the rest encloses in a slice stays: cysts. A piece without fluid stays as it is.
A network that learnt from translations, where fluid is seldom as bright as it is, takes what is as
bright as that for tumour: the canal of the healthy ear, the cistern above and below a tumour. A
tumour as bright as fluid is lost, and such a scan is not learnt from.

What is doubted of the tumour (``with_doubtful_tumour``, before fluid is dropped), each piece apart:
 1. Levels in the box ``fluid_context_mm`` about it: fluid, as above; of the piece's own voxels the
    10th percentile and the median.
 2. What hangs together with the piece, has at least ``least_p`` of the tumour's probability, both
    parts' together, and lies between that percentile and halfway from the median to fluid, joins
    its likelier part: what is darker is brain or bone, what is brighter more fluid than tumour.
A network that learnt from translations draws tumours too small, and the next one learns that of it.
That classes which are found too seldom get a lower limit is after Zou et al., "Unsupervised domain
adaptation for semantic segmentation via class-balanced self-training", ECCV 2018.

Where fluid is not brighter than tumour by ``contrast`` of the range from bone to fluid, fluid
stays and nothing joins; the same of tumour and bone. A result that is not between 1 / ``change``
and ``change`` times the pseudo-label's volume is distrusted: the pseudo-label stays as it is.
Mending never changes extra-meatal voxels, nor the boundary between the tumour's two parts; the two
steps before it do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from meatus.components import LabelMap, Mask, components
from meatus.geometry import Array, Geometry
from meatus.structures import CLASS_NAMES, TUMOUR, Structure
from meatus_training.selftraining.morphology import ball, dilate, fill_slices, otsu
from meatus_training.settings_files import later

SOLID = np.ones((1, 3, 3), dtype=bool)  # what a thin sheet does not hold
LEVELS_PCT = (5, 98)  # of bone and of fluid: a large tumour leaves little fluid in sight
BOX_LEVELS_PCT = (5, 99.5)  # the same of a whole box about a tumour
OWN_DARK_PCT = 10  # of a tumour's own voxels: what is darker beside it is brain or bone


@dataclass(frozen=True)
class RepairRules:
    """How far repair may go; lengths in mm."""

    reach_mm: float = 1.0  # from the pseudo-label to what joins it: a voxel or two
    context_mm: float = 3.0  # about it, where the levels are measured: cochlear walls are 1 to 2
    modiolus_mm: float = 1.0  # half the width of the gap that it leaves between two turns
    staying: float = 0.7
    band: float = 0.3
    contrast: float = 0.2
    change: float = 3.0
    fewest: int = 8  # voxels of a piece below which no level is measured
    fluid_share: float = later(0.7)  # between bone and fluid: tumours lie near the middle
    fluid_context_mm: float = later(10.0)  # a large tumour leaves little fluid close by


@dataclass(frozen=True)
class Change:
    """What became of one piece of a pseudo-label, in voxels."""

    structure: str
    added: int
    removed: int
    kept_because: str = ""  # why the piece was left as it was


@dataclass(frozen=True)
class Repaired:
    """A mended label map (Z, Y, X)."""

    labels: LabelMap
    changes: tuple[Change, ...]


def repair(
    image: Array, labels: LabelMap, geometry: Geometry, rules: RepairRules = RepairRules()
) -> Repaired:
    """Mend ``labels`` (Z, Y, X) by ``image`` (Z, Y, X), of any scale, as the module says."""
    mended = labels.copy()
    changes: list[Change] = []
    for structure in (Structure.COCHLEA, Structure.INTRA_MEATAL):
        swollen = dilate(labels == structure, rules.reach_mm, geometry)
        margin = [int(rules.context_mm / mm) + 2 for mm in geometry.spacing_mm[::-1]]
        for wide, within in _pieces(swollen, margin):
            change = _mend(image[wide], mended[wide], within, structure, geometry, rules)
            changes.append(change)
    return Repaired(mended, tuple(changes))


def without_fluid(
    image: Array, labels: LabelMap, geometry: Geometry, rules: RepairRules = RepairRules()
) -> LabelMap:
    """``labels`` (Z, Y, X) without the tumour that is fluid in ``image``, as the module says."""
    dry = labels.copy()
    for wide, piece in _tumours(labels, geometry, rules):
        bone, fluid = np.percentile(image[wide], BOX_LEVELS_PCT)
        tissue = piece & (image[wide] < bone + rules.fluid_share * (fluid - bone))
        if (tissue == piece).all():
            continue
        kept = piece & fill_slices(ndimage.binary_opening(tissue, SOLID))
        dry[wide][piece & ~kept] = Structure.BACKGROUND
    return dry


def with_doubtful_tumour(
    image: Array,
    probabilities: Array,
    labels: LabelMap,
    geometry: Geometry,
    least_p: float,
    rules: RepairRules = RepairRules(),
) -> LabelMap:
    """``labels`` (Z, Y, X) with what ``probabilities`` (C, Z, Y, X) doubt to be of their tumour.

    As the module says; ``image`` (Z, Y, X) is of any scale.
    """
    tumour = np.isin(labels, TUMOUR)
    parts = probabilities[list(TUMOUR)]
    likely = (parts.sum(axis=0) >= least_p) & (labels == Structure.BACKGROUND)
    free = tumour.copy()
    for wide, piece in _tumours(labels, geometry, rules):
        levels = image[wide]
        fluid = np.percentile(levels, BOX_LEVELS_PCT[1])
        darkest, middle = np.percentile(levels[piece], (OWN_DARK_PCT, 50))
        free[wide] |= likely[wide] & (levels >= darkest) & (levels <= (middle + fluid) / 2)
    joined = ndimage.binary_propagation(tumour, mask=free) & ~tumour
    likelier = np.asarray(TUMOUR, dtype=np.uint8)[parts.argmax(axis=0)]
    return np.where(joined, likelier, labels)


def _tumours(
    labels: LabelMap, geometry: Geometry, rules: RepairRules
) -> Iterator[tuple[tuple[slice, ...], Mask]]:
    """Each piece of tumour in ``labels`` (Z, Y, X), in its box about which fluid is looked for."""
    margin = [int(rules.fluid_context_mm / mm) + 1 for mm in geometry.spacing_mm[::-1]]
    return _pieces(np.isin(labels, TUMOUR), margin)


def _pieces(mask: Mask, margin: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], Mask]]:
    """Each piece of ``mask`` (Z, Y, X) in its box, which is ``margin`` voxels (z, y, x) wider."""
    numbers, sizes = components(mask)
    for number, box in enumerate(ndimage.find_objects(numbers, sizes.size - 1), start=1):
        wide = tuple(
            slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True)
        )
        yield wide, numbers[wide] == number


def _mend(
    image: Array,
    labels: LabelMap,
    within: Mask,
    structure: Structure,
    geometry: Geometry,
    rules: RepairRules,
) -> Change:
    """Mend the piece of ``structure`` that lies ``within`` in place."""
    name = CLASS_NAMES[structure]
    piece = (labels == structure) & within
    if np.count_nonzero(piece) < rules.fewest:
        return Change(name, 0, 0, "too small to measure")
    context = dilate(piece, rules.context_mm, geometry)
    free = within & ((labels == Structure.BACKGROUND) | piece)
    if structure == Structure.COCHLEA:
        found = mend_cochlea(image, piece, free, context, geometry, rules)
    else:
        found = mend_canal(image, piece, free, context & (labels != Structure.EXTRA_MEATAL), rules)
    ratio = np.count_nonzero(found) / np.count_nonzero(piece)
    if not 1 / rules.change <= ratio <= rules.change:
        return Change(name, 0, 0, f"would become {ratio:.2f} times as large")
    labels[piece] = Structure.BACKGROUND
    labels[found] = structure
    added, removed = np.count_nonzero(found & ~piece), np.count_nonzero(piece & ~found)
    return Change(name, int(added), int(removed))


def mend_cochlea(
    image: Array, piece: Mask, free: Mask, context: Mask, geometry: Geometry, rules: RepairRules
) -> Mask:
    """The bright voxels of ``free`` about ``piece`` and the modiolus between them."""
    threshold = otsu(image[context])
    bone = float(np.median(image[context & (image <= threshold)]))
    staying = piece & (image > bone + rules.staying * (threshold - bone))
    bright = free & (image > threshold)
    numbers, sizes = components(bright | staying)
    kept = np.zeros(sizes.size, dtype=bool)
    kept[np.unique(numbers[bright & piece])] = True
    kept[0] = False
    return free & fill_slices(_close(kept[numbers], rules.modiolus_mm, geometry))


def mend_canal(image: Array, piece: Mask, free: Mask, context: Mask, rules: RepairRules) -> Mask:
    """The voxels of ``free`` between bone and fluid that hang together with those of ``piece``."""
    bone, fluid = (float(v) for v in np.percentile(image[context], LEVELS_PCT))
    tumour = float(np.median(image[piece]))
    least = rules.contrast * (fluid - bone)
    low = (bone + tumour) / 2 if tumour - bone > least else -np.inf
    high = (tumour + fluid) / 2 if fluid - tumour > least else np.inf
    allowed = piece & (image > low) & (image < high)
    if np.isfinite(low) and np.isfinite(high):
        alike = (image > tumour - rules.band * (tumour - low)) & (
            image < tumour + rules.band * (high - tumour)
        )
        allowed = allowed | ndimage.binary_opening(free & alike, SOLID)
    numbers, count = ndimage.label(allowed)
    if count == 0:
        return np.zeros_like(piece)
    held = np.bincount(numbers[piece & allowed], minlength=count + 1)
    held[0] = 0
    return free & fill_slices(np.asarray(numbers == int(np.argmax(held))))


def _close(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """Dilate and erode by ``radius_mm``; the border of the array takes nothing."""
    element = ball(radius_mm, geometry)
    width = [(extent // 2, extent // 2) for extent in element.shape]
    closed = ndimage.binary_closing(np.pad(mask, width), element)
    inner = tuple(slice(w, -w or None) for w, _ in width)
    return np.asarray(closed[inner])
