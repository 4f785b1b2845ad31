"""Real tumours and cochleae from contour files: read, interpolated, written as label maps."""

from training.phantom.contours.errors import ContourError
from training.phantom.contours.planes import Contour
from training.phantom.contours.read import Patient, read_contours
from training.phantom.contours.shape import prism_mm3, rasterise
from training.phantom.contours.table import contour_files, import_contours, label_map

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
