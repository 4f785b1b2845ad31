"""What a DICOM object takes from the images that it is about: patient, study, references.

Everything is copied as it stands; what an image lacks and the object must have is left empty.
"""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass

from highdicom import AlgorithmIdentificationSequence
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from meatus import __version__
from meatus.dicom.codes import ARTIFICIAL_INTELLIGENCE, OWN_SCHEME
from meatus.dicom.entries import Entry
from meatus.dicom.headers import full_header
from meatus.dicom.series import on_planes
from meatus.dicom.stacks import Placed, Stack, place
from meatus.geometry import Labelled
from meatus.io.stderr import quiet
from meatus.volumes import Labels

NAME = "Meatus"
NOTICE = "Research software, not for clinical use"

# Type 2 in the patient and study modules (PS3.3, C.7.1.1 and C.7.2.1): must be there, may be empty.
MUST_BE_THERE = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip

# What else patient, study and clinical-trial modules may hold, copied where it is there.
ALSO_COPIED = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "StudyInstanceUID", "StudyDescription",
    "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientIDsSequence", "PatientBirthTime",
    "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup", "PatientComments",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "AdditionalPatientHistory", "MedicalAlerts",
    "Allergies", "PregnancyStatus", "AdmissionID", "ProcedureCodeSequence",
)  # fmt: skip
TRIAL_GROUP = 0x0012

SEX = ("M", "F", "O", "")

# Added to a hundred times the number of the images' series, so that a study lists them together.
SERIES_NUMBERS = {"dicom-seg": 1, "dicom-sr": 2, "rtstruct": 3}
MOST_SERIES_NUMBER = 2**31 - 1  # of an integer string


@dataclass(frozen=True)
class Algorithm:
    """What made the labels."""

    weights: tuple[str, ...]  # each network's file and SHA-256
    quality: str = ""
    version: str = __version__

    @property
    def parameters(self) -> tuple[str, ...]:
        """For people, a line each."""
        quality = (f"quality: {self.quality}",) if self.quality else ()
        return (*(f"weights: {name}" for name in self.weights), *quality)

    def identification(self) -> AlgorithmIdentificationSequence:
        parameters = {f"weights {n}": name for n, name in enumerate(self.weights, 1)}
        return AlgorithmIdentificationSequence(
            NAME,
            ARTIFICIAL_INTELLIGENCE,
            self.version,
            source="Meatus contributors",
            parameters=parameters | ({"quality": self.quality} if self.quality else {}),
        )


@dataclass(frozen=True)
class Origin:
    """The images that labels were found in, and the labels on them."""

    stack: Stack
    placed: Placed
    headers: dict[Entry, Dataset]  # of each file, in the order of the slices
    labels: Labelled  # (n, Y, X), one for each plane of ``placed``
    algorithm: Algorithm

    @property
    def first(self) -> Dataset:
        return next(iter(self.headers.values()))

    def series_number(self, kind: str) -> int:
        return min(
            100 * max(self.stack.traits.number or 0, 0) + SERIES_NUMBERS[kind], MOST_SERIES_NUMBER
        )


def origin_of(labels: Labels, stack: Stack, algorithm: Algorithm) -> Origin:
    """Labels of ``stack``, with the headers of its files read again.

    Raises ``ScanError`` where those are gone.
    """
    placed = place(stack)
    headers = {
        entry: _usable(full_header(entry), placed.geometry.spacing_mm[2])
        for entry in dict.fromkeys(plane.entry for plane in placed.planes)
    }
    return Origin(stack, placed, headers, on_planes(labels, placed), algorithm)


def _usable(header: Dataset, slices_apart_mm: float) -> Dataset:
    """With everything that highdicom reads; what was missing is empty.

    Without a thickness slices are taken to be as thick as they lie apart.
    """
    if not header.get("SliceThickness"):
        header.SliceThickness = slices_apart_mm
    for keyword in MUST_BE_THERE:
        if keyword not in header:
            setattr(header, keyword, "")
    if str(header.PatientSex or "") not in SEX:
        header.PatientSex = ""  # the stated one is copied afterwards
    return header


def copy_patient_and_study(origin: Origin, target: Dataset) -> None:
    """Give ``target`` the images' patient and study, element by element."""
    source = full_header(next(iter(origin.headers)))
    for keyword in (*ALSO_COPIED, *MUST_BE_THERE):
        tag = tag_for_keyword(keyword)
        if tag is not None and tag in source:
            target[tag] = source[tag]
    for element in source.group_dataset(TRIAL_GROUP):
        target[element.tag] = element


def new_uid() -> str:
    return str(generate_uid(prefix=None))


def own_scheme() -> CodingSchemeIdentificationItem:
    """Tells who is behind the codes that are nobody else's."""
    return CodingSchemeIdentificationItem(
        OWN_SCHEME, name="Meatus", responsible_organization="Meatus contributors"
    )


def stamp(target: Dataset, description: str) -> None:
    """What all our objects say of themselves."""
    now = datetime.datetime.now()
    target.SeriesDescription = description
    target.SeriesDate = target.InstanceCreationDate = now.strftime("%Y%m%d")
    target.SeriesTime = target.InstanceCreationTime = now.strftime("%H%M%S")


def file_bytes(dataset: Dataset) -> bytes:
    """A DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    with quiet():  # about values that stand in the images as they do here
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
