"""Real tumours and cochleae from contour files: read, interpolated, written as label maps."""

from meatus_phantom.contours.planes import Contour
from meatus_phantom.contours.read import Patient, read_contours
from meatus_phantom.contours.shape import prism_mm3, rasterise
from meatus_phantom.contours.table import contour_files, import_contours, label_map
from meatus_phantom.errors import ContourError

__all__ = [
    "Contour",
    "ContourError",
    "Patient",
    "contour_files",
    "import_contours",
    "label_map",
    "prism_mm3",
    "rasterise",
    "read_contours",
]
