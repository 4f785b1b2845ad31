"""nibabel without pydicom, which it imports wherever that is installed: half of its own time again.

It is asked for DICOM text within NIfTI headers alone, which nobody reads here. To an import that
finds None the package is not there.
"""

from __future__ import annotations

import sys

ABSENT = "pydicom" not in sys.modules
if ABSENT:
    sys.modules["pydicom"] = None  # type: ignore[assignment]
try:
    import nibabel as nib
    from nibabel.quaternions import quat2mat
finally:
    if ABSENT:
        del sys.modules["pydicom"]

__all__ = ["nib", "quat2mat"]
