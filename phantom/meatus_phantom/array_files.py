"""Arrays as files that can be mapped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_bytes(voxels: NDArray[Any]) -> bytes:
    """The bytes of a .npy file, C order, from which parts can be mapped."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(voxels), allow_pickle=False)
    return buffer.getvalue()
