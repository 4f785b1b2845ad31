"""Whether a scan shows a whole head: routine scans may be parts of one, or of odd shape.

Nothing has to be done for them but to know them. Of a scan smaller than the crop's field the
pipeline's own crop takes all there is, along each axis of its own, and the published rule leaves
the shorter axis of an odd shape uncut (``meatus.crop.RATIO_LIMITS``): such scans come out
uncropped, padded with black. Training may treat them apart by ``PreparedCase.complete``.
"""

from __future__ import annotations

from meatus.crop import RATIO_LIMITS
from meatus.geometry import Array, Geometry
from meatus_evaluation.surface import bounding_box

# An adult head is about 150 mm wide; both inner ears lie within 90 mm. Less than this along an
# axis is a part of a head, in which the middle of the tissue is not the middle of the head.
SIDE_MM = 120.0
DEPTH_MM = 20.0  # of the slices together; labyrinth and canal need no more


def shows_whole_head(voxels: Array, geometry: Geometry) -> bool:
    """Whether what is not empty of ``voxels`` (Z, Y, X), axial, is about as large as a head.

    Blank borders, which hold the volume's minimum, count as missing.
    """
    depth_mm, side_y_mm, side_x_mm = (
        (part.stop - part.start) * width
        for part, width in zip(
            bounding_box(voxels > voxels.min()), reversed(geometry.spacing_mm), strict=True
        )
    )
    low, high = RATIO_LIMITS
    large: bool = min(side_x_mm, side_y_mm) >= SIDE_MM and depth_mm >= DEPTH_MM
    return large and bool(low <= side_y_mm / side_x_mm <= high)
