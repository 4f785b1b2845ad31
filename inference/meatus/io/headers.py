"""What a header must say, whatever its format: limits, and repairs of small faults.

The messages do not name the file; ``meatus.io.images`` puts its name before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meatus.errors import ScanError
from meatus.geometry import Geometry

Floats = NDArray[np.float64]

# Four times the largest grid of the challenge, 512 x 512 x 256; one GiB as float32.
MOST_VOXELS = 2**28

# Half the finest MRI of a head (0.1 mm) and twice the thickest routine slice (5 mm). Beyond
# lie headers in metres or micrometres, and damaged ones.
FINEST_MM, COARSEST_MM = 0.05, 10.0

# Ten metres from the scanner's centre, single precision still places a voxel to a micrometre.
FARTHEST_MM = 1e4

# Cosines between axes, and what their length lacks to one. Headers store directions in single
# precision or as text of five digits: less than AS_STORED is their rounding. Up to ORTHOGONAL
# the nearest right-angled axes move no voxel of a 200 mm field by more than 1 mm.
AS_STORED, ORTHOGONAL = 1e-4, 1e-2


@dataclass(frozen=True)
class Header:
    """Where a file's voxels lie in the patient and in the file, and how they are stored."""

    geometry: Geometry
    dtype: np.dtype[Any]  # with its byte order
    offset: int  # bytes before the first voxel, or before their compressed stream
    deflated: bool = False  # whether a zlib or gzip stream begins at ``offset``
    slope: float = 1.0  # grey value = slope * stored value + intercept
    intercept: float = 0.0
    block: bytes | None = None  # the NIfTI header as it stands in the file
    warnings: tuple[str, ...] = ()

    @property
    def voxel_bytes(self) -> int:
        return math.prod(self.geometry.size) * self.dtype.itemsize


# Of the units of length that formats know, by their names in text headers.
MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0,
    "m": 1e3, "meter": 1e3, "metre": 1e3, "cm": 10.0, "centimeter": 10.0,
    "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "micrometer": 1e-3,
}  # fmt: skip


def in_millimetres(unit: str) -> float:
    """How many a text header's ``unit`` has; one where it names none that is known."""
    return MILLIMETRES.get(unit.strip().strip('"').lower(), 1.0)


def volume_size(sizes: list[int]) -> tuple[int, int, int]:
    """The three extents of a volume whose further axes, if any, hold one frame."""
    if len(sizes) < 3 or any(extent != 1 for extent in sizes[3:]):
        raise ScanError(
            f"shape {tuple(sizes)}; expected three axes. "
            "Save the hrT2 volume as a file of its own and pass that."
        )
    if min(sizes) < 1 or math.prod(sizes) > MOST_VOXELS:
        raise ScanError(
            f"its header claims {' x '.join(map(str, sizes[:3]))} voxels; expected at least one "
            f"along each axis and at most {MOST_VOXELS:,}. The header is damaged, or the "
            "scan must be cropped to the head."
        )
    return sizes[0], sizes[1], sizes[2]


def spacing_and_axes(steps: Floats) -> tuple[Floats, Floats]:
    """Lengths (3,) and directions (3, 3) of the columns of ``steps``: one voxel along each."""
    spacing = np.linalg.norm(steps, axis=0)
    return spacing, steps / spacing  # grid() refuses what is not finite


def grid(
    size: tuple[int, int, int], spacing: Floats, axes: Floats, origin: Floats
) -> tuple[Geometry, tuple[str, ...]]:
    """The grid that a header states (LPS+, axes in columns), and what had to be repaired.

    Raises ``ScanError`` where it cannot be that of a scan of a head.
    """
    # Rounded, so that a size at a limit stays within when its directions are rounded.
    if not all(FINEST_MM <= round(width, 4) <= COARSEST_MM for width in spacing.tolist()):
        raise ScanError(
            f"voxel size {_millimetres(spacing)}; expected {FINEST_MM:g} to {COARSEST_MM:g} mm "
            "along each axis. Correct the header or export the scan again."
        )
    if not all(abs(place) <= FARTHEST_MM for place in origin.tolist()):
        raise ScanError(
            f"first voxel at {_millimetres(origin)}; expected at most {FARTHEST_MM:g} mm from "
            "the scanner's centre. Correct the header or export the scan again."
        )
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if not skew <= ORTHOGONAL:
        raise ScanError(
            f"axes that are not at right angles (off by {skew:.3g}, at most {ORTHOGONAL:g}). "
            "Resample the scan to an orthogonal grid."
        )
    repaired = f"axes off right angles by {skew:.1g}: the nearest right-angled axes are used"
    left, _, right = np.linalg.svd(axes)  # the nearest orthogonal matrix
    (step_x, step_y, step_z), (x, y, z) = spacing.tolist(), origin.tolist()
    direction = tuple(float(value) for value in (left @ right).ravel())
    geometry = Geometry(size, (step_x, step_y, step_z), (x, y, z), direction)
    return geometry, (repaired,) if skew > AS_STORED else ()


def _millimetres(values: Floats) -> str:
    return " x ".join(f"{value:.4g}" for value in values.tolist()) + " mm"


def numbers(text: str, count: int, what: str) -> list[float]:
    """``count`` numbers of a text header's field ``what``."""
    words = text.split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count:
        raise ScanError(
            f"its header states {what} as {text.strip()[:60]!r}; expected {count} numbers. "
            "Export the scan again."
        )
    return values


def whole_numbers(text: str, count: int, what: str) -> list[int]:
    """As ``numbers``, where only whole ones make sense."""
    values = numbers(text, count, what)
    if not all(value.is_integer() for value in values):
        raise ScanError(
            f"its header states {what} as {text.strip()[:60]!r}; expected whole numbers."
        )
    return [int(value) for value in values]
