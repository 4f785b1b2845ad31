"""Real tumours and cochleae from contour files: read, interpolated, written as label maps."""

from training.newphantom.contours.errors import ContourError
from training.newphantom.contours.planes import Contour
from training.newphantom.contours.read import Patient, read_contours
from training.newphantom.contours.shape import prism_mm3, rasterise
from training.newphantom.contours.table import contour_files, import_contours, label_map

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
