"""Training samples, prepared by the pipeline's own preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Geometry, axial, covered, reorient, resample
from meatus.preprocess import prepare
from meatus.spec import Spec
from meatus.structures import Structure
from meatus.volumes import Scan


@dataclass(frozen=True)
class Sample:
    """One prepared scan with its labels on the same grid."""

    voxels: NDArray[np.float16]  # (Z, Y, X) in [-1, 1]
    labels: NDArray[np.uint8]  # (Z, Y, X)


def prepare_sample(scan: Scan, truth: Scan, spec: Spec) -> Sample:
    """``scan`` as the pipeline prepares it, and the label map ``truth`` on the same grid."""
    prepared = prepare(scan, spec)
    return Sample(prepared.voxels.astype(np.float16), labels_on(truth, prepared.geometry))


def labels_on(truth: Scan, grid: Geometry) -> NDArray[np.uint8]:
    """The label map ``truth`` on ``grid``: the class with the largest share of each voxel.

    Per class, so that a boundary lies where half of each class meets, not half a number.
    """
    source = axial(truth.geometry)
    native = reorient(truth.voxels, truth.geometry, source)
    shares = [
        resample((native == number).astype(np.float32), source, grid, antialias=True)
        for number in Structure
    ]
    inside = tuple(covered(source, grid, axis) for axis in (2, 1, 0))
    labels = np.zeros(shares[0].shape, dtype=np.uint8)
    labels[inside] = np.argmax(shares, axis=0).astype(np.uint8)[inside]
    return labels
