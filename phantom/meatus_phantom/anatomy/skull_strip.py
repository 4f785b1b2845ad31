"""Scans without a skull, as brain extraction leaves them: some real scans come that way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meatus.geometry import Geometry
from meatus_phantom.tissues import Tissue

BRAIN = (
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.PONS,
    Tissue.CEREBELLAR_CORTEX,
    Tissue.CEREBELLAR_WHITE,
    Tissue.DENTATE,
    Tissue.EDEMA,
)
BRIDGED_MM = 4.0  # clefts up to twice as wide count as brain: sulci and folia


def brain_mask(
    tissues: NDArray[np.uint8], geometry: Geometry, margin_mm: float
) -> NDArray[np.bool_]:
    """Where ``tissues`` (Z, Y, X) are brain or fluid in and between it, and ``margin_mm`` about."""
    spacing_mm = geometry.spacing_mm[::-1]
    brain = np.isin(tissues, BRAIN)
    if not brain.any():
        return brain
    bridged: NDArray[np.bool_] = ndimage.distance_transform_edt(~brain, spacing_mm) <= BRIDGED_MM
    if bridged.all():
        return bridged
    depth_mm: NDArray[np.float64] = ndimage.distance_transform_edt(bridged, spacing_mm)
    kept = [ndimage.binary_fill_holes(plane) for plane in depth_mm > BRIDGED_MM - margin_mm]
    return np.stack(kept)
