"""A scan that is trained on, with its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One prepared scan with its labels on the same grid."""

    voxels: NDArray[np.float16]  # (Z, Y, X) in [-1, 1]
    labels: NDArray[np.uint8]  # (Z, Y, X)
