"""Training samples, prepared by the pipeline's own preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus.crop import Field, reference_crop
from meatus.geometry import largest_share_labels
from meatus.preprocess import prepare
from meatus.spec import Spec
from meatus.volumes import Scan


@dataclass(frozen=True)
class Sample:
    """One prepared scan with its labels on the same grid."""

    voxels: NDArray[np.float16]  # (Z, Y, X) in [-1, 1]
    labels: NDArray[np.uint8]  # (Z, Y, X)


def prepare_sample(scan: Scan, truth: Scan, spec: Spec, field: Field = reference_crop) -> Sample:
    """``scan`` as the pipeline prepares it in ``field``, and the label map ``truth`` there."""
    prepared = prepare(scan, spec, field)
    return Sample(
        prepared.voxels.astype(np.float16),
        largest_share_labels(truth.voxels, truth.geometry, prepared.geometry),
    )
