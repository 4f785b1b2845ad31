"""The scans of a cohort as DICOM series beside the NIfTI files, for tests of what reads DICOM.

dicom/crossmoda2023_<site>_<n>_T2/IM0001.dcm ...: one folder for each scan, one file for each slice.
The patient is called Nobody, and every file says that the image is synthetic. Equal scans give
equal files: UIDs come from the scan's bytes, dates are the first of the year 2000.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meatus.io.images import read_scan
from meatus.volumes import Scan
from meatus_phantom.cohort.files import WORK, Row
from meatus_phantom.errors import PhantomError

FOLDER = "dicom"
LARGEST = 2**15 - 1  # of a signed 16-bit value, in which scanners store
DATE, TIME = "20000101", "000000"
# ScanningSequence and SequenceVariant of each protocol; of others spin echo's.
SEQUENCES = {
    "Mprage": (["GR", "IR"], ["SP", "MP"]),
    "SpoiledGradient": ("GR", "SP"),
    "BalancedSsfp": ("GR", "SS"),
}
SPIN_ECHO = ("SE", "SK")


def write_dicom(
    out: Path, rows: Sequence[Row], told: Callable[[Row], None] = lambda _row: None
) -> int:
    """A series for each scan of ``rows`` that has none yet; how many were written.

    A series is there whole or not at all. Raises ``PhantomError`` where it cannot be written.
    """
    made = 0
    for row in rows:
        name = Path(row["scan"]).name.removesuffix(".nii.gz")
        folder, part = out / FOLDER / name, out / WORK / f"{name}.dicom.part"
        if not folder.exists():
            try:
                _write(read_scan(out / row["scan"]), row, name, part)
                folder.parent.mkdir(exist_ok=True)
                part.rename(folder)
            except OSError as error:
                raise PhantomError(
                    f"{folder}: cannot be written ({error.strerror or error}); make room, then go "
                    "on with --resume."
                ) from error
            finally:
                shutil.rmtree(out / WORK, ignore_errors=True)
            made += 1
        told(row)
    return made


def _write(scan: Scan, row: Row, name: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(1, scan.geometry.size[2] + 1):
        (folder / f"IM{number:04d}.dcm").write_bytes(_slice(scan, row, name, number))


def _slice(scan: Scan, row: Row, name: str, number: int) -> bytes:
    """The file of slice ``number``, from 1."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    subject, series = f"{row['site']} {row['subject_seed']}", row["scan_sha256"]
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.SOPInstanceUID = _uid(series, str(number))
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = _uid(subject), _uid(series)
    image.FrameOfReferenceUID = _uid(subject, "place")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["DERIVED", "PRIMARY", "M"]
    image.StudyDate = image.SeriesDate = image.ContentDate = DATE
    image.StudyTime = image.SeriesTime = image.ContentTime = TIME
    image.AccessionNumber = image.ReferringPhysicianName = image.PatientBirthDate = ""
    image.PatientName, image.PatientID = "Nobody^Drawn", name.rpartition("_")[0]
    image.PatientSex, image.StudyID = "O", "1"
    image.Modality, image.Manufacturer = "MR", "Meatus contributors"
    image.SeriesDescription = f"{row['modality']} phantom"
    image.BodyPartExamined = "HEAD"
    image.ImageComments = "Synthetic: drawn by meatus phantom, of no patient"
    image.SeriesNumber = 2 if row["modality"] == "hrT2" else 1
    image.InstanceNumber, image.AcquisitionNumber = number, 1
    image.PatientPosition, image.PositionReferenceIndicator = "HFS", ""
    _add_sequence(image, row)
    _add_pixels(image, scan, number - 1)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uid(*words: str) -> str:
    """One that the same words always give (a name-based UUID, PS3.5, B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(('meatus phantom', *words))).int}"


def _add_sequence(image: Any, row: Row) -> None:
    """How the scan was taken, as far as the cohort's table tells."""
    image.ScanningSequence, image.SequenceVariant = SEQUENCES.get(
        row.get("sequence", ""), SPIN_ECHO
    )
    image.ScanOptions, image.MRAcquisitionType = "", "3D"
    image.EchoTrainLength = None
    image.RepetitionTime = row.get("protocol_repetition_ms") or None
    image.EchoTime = row.get("protocol_echo_ms") or None
    image.MagneticFieldStrength = row.get("field_tesla") or None
    if row.get("protocol_inversion_ms"):
        image.InversionTime = row["protocol_inversion_ms"]
    if row.get("gadolinium") == "True":
        image.ContrastBolusAgent = "gadolinium (simulated)"


def _add_pixels(image: Any, scan: Scan, z: int) -> None:
    geometry = scan.geometry
    x_mm, y_mm, z_mm = geometry.spacing_mm
    image.ImageOrientationPatient = [_short(value) for value in geometry.axes[:, :2].T.ravel()]
    image.ImagePositionPatient = [_short(value) for value in geometry.position_mm((0, 0, z))]
    image.PixelSpacing = [_short(y_mm), _short(x_mm)]
    image.SliceThickness = image.SpacingBetweenSlices = _short(z_mm)
    image.Rows, image.Columns = geometry.size[1], geometry.size[0]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 1
    stored = np.rint(scan.voxels[z]).clip(-LARGEST, LARGEST).astype("<i2")
    image.PixelData = stored.tobytes()
    image["PixelData"].VR = "OW"


def _short(value: float) -> str:
    """As a decimal string of at most 16 letters."""
    return f"{float(value):.10g}"
