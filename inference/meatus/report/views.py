"""Which parts of which axial slices tell most about a case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus import anatomy
from meatus.components import components
from meatus.crop import TISSUE_SHARE
from meatus.geometry import Array, Geometry, axial, reorient
from meatus.report.measure import Measures, structure_masks
from meatus.volumes import Labels, Scan

Mask = NDArray[np.bool_]

TUMOUR_FIELD_MM = 60.0  # at least; shows the brainstem's edge and the cochlea of a small tumour
CANAL_FIELD_MM = 36.0  # at least; three times the usual length (anatomy.CANAL_MM)
EAR_FIELD_MM = 44.0
BOTH_EARS_FIELD_MM = anatomy.COCHLEAS_APART_MM[1] + 2 * 16.0  # and some bone beside either
MARGIN_MM = 10.0  # shown about a structure
MEDIAL_MM = 8.0  # an ear's view is moved towards the canal, which lies medial to the cochlea

# The darkest tissue and the brightest fluid take the ends of the grey scale.
WINDOW_PERCENTILES = (1.0, 99.5)


@dataclass(frozen=True)
class Slices:
    """A scan and its labels, as axial slices from below, the patient's right first."""

    voxels: Array  # (Z, Y, X)
    labels: NDArray[np.uint8]  # (Z, Y, X)
    grid: Geometry


@dataclass(frozen=True)
class View:
    """A square field of one slice."""

    title: str
    index: int  # the slice, from 0
    centre_mm: tuple[float, float]  # along x and y, from the middle of the slice's first voxel
    size_mm: float


def as_slices(scan: Scan, labels: Labels) -> Slices:
    """``labels`` lies on the scan's grid, which may have any axis order."""
    grid = axial(scan.geometry)
    turned = (reorient(array, scan.geometry, grid) for array in (scan.voxels, labels.voxels))
    voxels, numbers = turned
    return Slices(np.asarray(voxels), np.asarray(numbers, dtype=np.uint8), grid)


def window(voxels: Array) -> tuple[float, float]:
    """The intensities (Z, Y, X) that are shown black and white; air does not count."""
    sample = voxels[:, ::4, ::4]  # enough voxels to settle the percentiles
    tissue = sample[sample > TISSUE_SHARE * np.percentile(sample, WINDOW_PERCENTILES[1])]
    if not tissue.size:
        return float(voxels.min()), float(voxels.min()) + 1
    low, high = (float(value) for value in np.percentile(tissue, WINDOW_PERCENTILES))
    return low, max(high, low + 1e-6)


def main_view(slices: Slices) -> View:
    """The slice with most of the tumour's extra-meatal part, else of the tumour.

    Without a tumour it is the cochleas' level, where the canals are; without those the middle
    of the scan.
    """
    masks = structure_masks(slices.labels)
    tumour = _largest(masks["whole_vs"])
    extra = tumour & masks["extra_meatal"]
    if extra.any():
        return _about("Largest extra-meatal area", tumour, busiest(extra), slices.grid)
    if tumour.any():
        return _about("Largest tumour area", tumour, busiest(tumour), slices.grid)
    if masks["cochlea"].any():
        index = busiest(masks["cochlea"])
        return View("Level of the cochleas", index, middle_mm(slices.grid), BOTH_EARS_FIELD_MM)
    middle = slices.grid.size[2] // 2
    return View("Middle of the scan", middle, middle_mm(slices.grid), BOTH_EARS_FIELD_MM)


def canal_view(slices: Slices) -> View | None:
    """The slice with most of the tumour's intra-meatal part."""
    masks = structure_masks(slices.labels)
    intra = _largest(masks["whole_vs"]) & masks["intra_meatal"]
    if not intra.any():
        return None
    title = "Largest intra-meatal area"
    return _about(title, intra, busiest(intra), slices.grid, CANAL_FIELD_MM)


def ear_views(slices: Slices, measures: Measures) -> tuple[View | None, View | None]:
    """The slices with most of the right and of the left cochlea."""
    cochlea = structure_masks(slices.labels)["cochlea"]
    found = (measures.right.cochlea_mm3 > 0, measures.left.cochlea_mm3 > 0)
    columns = np.flatnonzero(cochlea.any(axis=(0, 1)))
    if not columns.size:
        return None, None
    middle = (columns[0] + columns[-1]) // 2 + 1
    halves = (slice(0, middle), slice(middle, None))
    views: list[View | None] = []
    for side, there, half, towards in zip(("Right", "Left"), found, halves, (1, -1), strict=True):
        mask = cochlea.copy()
        if all(found):
            mask[:] = False
            mask[..., half] = cochlea[..., half]
        if not (there and mask.any()):
            views.append(None)
            continue
        index = busiest(mask)
        (x, y), _ = extent_mm(mask[index], slices.grid)
        views.append(View(f"{side} cochlea", index, (x + towards * MEDIAL_MM, y), EAR_FIELD_MM))
    return views[0], views[1]


def _largest(mask: Mask) -> Mask:
    """The largest connected component of ``mask`` (Z, Y, X)."""
    largest = np.zeros_like(mask)
    for box in scipy.ndimage.find_objects(mask.view(np.uint8)):  # one, or none
        numbers, sizes = components(mask[box])
        largest[box] = mask[box] & (numbers == sizes.argmax())
    return largest


def busiest(mask: Mask) -> int:
    """The slice of ``mask`` (Z, Y, X) with the largest area, the middle one of equals."""
    areas = mask.sum(axis=(1, 2))
    largest = np.flatnonzero(areas == areas.max())
    return int(largest[len(largest) // 2])


def _about(
    title: str, mask: Mask, index: int, grid: Geometry, least_mm: float = TUMOUR_FIELD_MM
) -> View:
    """A view of slice ``index`` with all that ``mask`` (Z, Y, X) has there."""
    centre_mm, longest_mm = extent_mm(mask[index], grid)
    return View(title, index, centre_mm, max(least_mm, longest_mm + 2 * MARGIN_MM))


def extent_mm(plane: Mask, grid: Geometry) -> tuple[tuple[float, float], float]:
    """The middle (x, y) of what ``plane`` (Y, X) marks, and its larger side."""
    points_mm = np.argwhere(plane)[:, ::-1] * np.array(grid.spacing_mm[:2])
    low, high = points_mm.min(axis=0), points_mm.max(axis=0)
    x, y = (low + high) / 2
    return (float(x), float(y)), float((high - low).max())


def middle_mm(grid: Geometry) -> tuple[float, float]:
    x, y = ((count - 1) / 2 * mm for count, mm in zip(grid.size[:2], grid.spacing_mm, strict=False))
    return x, y
