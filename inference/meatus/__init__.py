"""Vestibular schwannoma and cochlea in hrT2 MRI.

from meatus import load_model, read_scan, segment, write_labels

model = load_model(device="auto")
scan = read_scan(Path("case_T2.nii.gz"))
found = segment(scan, model)  # labels, probabilities, certainty, seconds
write_labels(found.labels, Path("case.nii.gz"))
"""

from meatus.errors import InferenceError
from meatus.io.images import read_scan, write_labels
from meatus.pipeline import load_model, segment
from meatus.structures import Structure
from meatus.volumes import Labels, Scan, Segmented

__all__ = [
    "InferenceError",
    "Labels",
    "Scan",
    "Segmented",
    "Structure",
    "__version__",
    "load_model",
    "read_scan",
    "segment",
    "write_labels",
]
__version__ = "0.1.0"
