"""A label map as an RT Structure Set (PS3.3, A.19): what radiosurgery planning takes.

Every contour lies in the plane of the image that it was drawn on. The whole schwannoma is a region
of its own beside its two parts, since that is what is treated.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from meatus.dicom.codes import TERMS, WHOLE, Term
from meatus.dicom.contours import Points, outlines
from meatus.dicom.headers import Plane
from meatus.dicom.origin import (
    MUST_BE_THERE,
    NAME,
    NOTICE,
    Origin,
    copy_patient_and_study,
    new_uid,
    own_scheme,
    stamp,
)
from meatus.structures import TUMOUR

STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as this module has it
CONTOUR_DIGITS = 10  # of a coordinate: a decimal string holds 16 letters with sign and point

Region = tuple[Term, NDArray[np.bool_]]  # where it lies on the planes, (n, Y, X)


def structure_set(origin: Origin) -> Dataset:
    """The structures that were found, each with its contours; not approved by anyone."""
    regions = list(_regions(origin))
    now = datetime.datetime.now()
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    made.SOPInstanceUID = new_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    copy_patient_and_study(origin, made)
    for keyword in MUST_BE_THERE:
        if keyword not in made:
            setattr(made, keyword, "")
    made.Modality = "RTSTRUCT"
    made.SeriesInstanceUID = new_uid()
    made.SeriesNumber = origin.series_number("rtstruct")
    made.InstanceNumber = 1
    made.OperatorsName = ""
    made.Manufacturer = "Meatus contributors"
    made.ManufacturerModelName = NAME
    made.SoftwareVersions = origin.algorithm.version
    made.FrameOfReferenceUID = origin.stack.traits.frame_of_reference
    made.PositionReferenceIndicator = origin.first.get("PositionReferenceIndicator", "") or ""
    made.StructureSetLabel = NAME.upper()
    made.StructureSetDescription = "; ".join((NOTICE, *origin.algorithm.parameters))
    made.StructureSetDate = now.strftime("%Y%m%d")
    made.StructureSetTime = now.strftime("%H%M%S")
    made.ApprovalStatus = "UNAPPROVED"
    made.CodingSchemeIdentificationSequence = [own_scheme()]
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(origin)]
    made.StructureSetROISequence = [_roi(origin, n, term) for n, (term, _) in _numbered(regions)]
    made.ROIContourSequence = [_contours(origin, n, region) for n, region in _numbered(regions)]
    made.RTROIObservationsSequence = [_observation(n, term) for n, (term, _) in _numbered(regions)]
    stamp(made, "Meatus: vestibular schwannoma and cochlea, contours")
    return made


def _regions(origin: Origin) -> Iterator[Region]:
    whole = np.isin(origin.labels, TUMOUR)
    everything = [(WHOLE, whole), *((term, origin.labels == n) for n, term in TERMS.items())]
    return ((term, mask) for term, mask in everything if mask.any())


def _numbered(regions: list[Region]) -> Iterator[tuple[int, Region]]:
    return iter(enumerate(regions, 1))


def _frame_of_reference(origin: Origin) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = origin.stack.traits.series
    # One item for each image: of enhanced files, one for each frame that was read.
    series.ContourImageSequence = [_image(plane) for plane in origin.placed.planes]
    study = Dataset()
    study.ReferencedSOPClassUID = STUDY_COMPONENT
    study.ReferencedSOPInstanceUID = origin.stack.traits.study
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = origin.stack.traits.frame_of_reference
    frame.RTReferencedStudySequence = [study]
    return frame


def _image(plane: Plane) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = plane.sop_class
    image.ReferencedSOPInstanceUID = plane.uid
    if plane.frames > 1:
        image.ReferencedFrameNumber = plane.frame + 1
    return image


def _roi(origin: Origin, number: int, term: Term) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = origin.stack.traits.frame_of_reference
    roi.ROIName = term.roi
    roi.ROIDescription = term.label
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = f"{NAME} {origin.algorithm.version}"
    return roi


def _contours(origin: Origin, number: int, region: Region) -> Dataset:
    term, masks = region
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(term.rgb)
    item.ContourSequence = []
    for plane, mask in zip(origin.placed.planes, masks, strict=True):
        for outline in outlines(mask):
            contour = Dataset()
            contour.ContourNumber = len(item.ContourSequence) + 1
            contour.ContourImageSequence = [_image(plane)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(outline)
            contour.ContourData = _in_patient(outline, plane)
            item.ContourSequence.append(contour)
    return item


def _in_patient(outline: Points, plane: Plane) -> list[str]:
    """The patient's x, y, z of each point in turn, mm, LPS+."""
    steps = np.stack([plane.row, plane.column]) * np.array(plane.spacing_mm)[:, None]
    points = np.array(plane.position_mm) + outline @ steps
    return [f"{value:.{CONTOUR_DIGITS}g}" for value in points.ravel().tolist()]


def _observation(number: int, term: Term) -> Dataset:
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.ROIObservationLabel = term.roi
    item.RTROIIdentificationCodeSequence = [term.kind]
    item.RTROIInterpretedType = term.interpreted
    item.ROIInterpreter = ""
    return item
