"""What a DICOM file's header says of its images: where they lie, and how they were taken.

Classic files hold one image each, enhanced ones (PS3.3, C.7.6.16) a frame for each slice, with
what differs between frames in functional groups.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pydicom.errors
from pydicom.dataset import Dataset
from pydicom.uid import UID

from meatus.dicom.entries import Entry
from meatus.errors import ScanError, printable
from meatus.io.stderr import quiet

# What is kept of each header while a study is looked through.
WANTED = [
    "TransferSyntaxUID", "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID",
    "Modality", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName",
    "PatientName", "PatientID", "OtherPatientIDs", "BodyPartExamined", "ContrastBolusAgent",
    "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "RepetitionTime", "EchoTime",
    "InversionTime", "AcquisitionContrast", "DiffusionBValue", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "FrameOfReferenceUID", "SamplesPerPixel", "NumberOfFrames",
    "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "BitsAllocated",
    "RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}  # not compressed
DEFLATED = "1.2.840.10008.1.2.1.99"

MOST_FRAMES = 2**14  # in one file; more than any volume that is read has slices

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Plane:
    """One image: a classic file's, or a frame of an enhanced one."""

    entry: Entry
    sop_class: str
    uid: str  # SOP instance
    frame: int  # from 0
    frames: int  # of the file
    number: int | None  # InstanceNumber
    size: tuple[int, int]  # columns, rows
    spacing_mm: tuple[float, float]  # x (between columns), y (between rows)
    position_mm: tuple[float, float, float]  # of the first pixel's centre, LPS+
    row: Vector  # (3,) where a row's pixels run to
    column: Vector  # (3,) where a column's pixels run to
    slope: float = 1.0
    intercept: float = 0.0
    echo_ms: float | None = None
    component: str = ""  # M magnitude, P phase, R real, I imaginary, where stated


@dataclass(frozen=True)
class Traits:
    """How a series was taken, as its first header says; empty or None: not stated."""

    study: str
    series: str
    frame_of_reference: str
    number: int | None
    description: str
    name: str  # protocol and sequence too; for looking, never for printing
    modality: str
    image_type: tuple[str, ...]
    body_part: str
    sequence: tuple[str, ...]  # ScanningSequence: SE, GR, IR, EP
    variant: tuple[str, ...]
    acquisition: str  # 2D or 3D
    contrast: str  # AcquisitionContrast of enhanced files
    agent: str
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    b_value: float | None
    samples: int
    inverted: bool  # MONOCHROME1: the lowest value is shown white
    patient_name: str
    patient: tuple[str, ...]  # words of name and number, to be kept out of what is printed


@dataclass(frozen=True)
class Image:
    """One file with images."""

    entry: Entry
    uid: str
    traits: Traits
    planes: tuple[Plane, ...]  # empty where no place in the patient is stated
    cut: bool = False  # the file ends before its pixels do


def read_image(entry: Entry) -> Image | None:
    """What the file says of its images; None where it holds none.

    Raises ``ScanError`` where it begins as DICOM but cannot be read.
    """
    try:
        with quiet():  # values are looked at, and complained of, when they are asked for
            with entry.opened() as file:
                header = pydicom.dcmread(
                    file, stop_before_pixels=True, specific_tags=[*WANTED], force=True
                )
                left = _bytes_left(file)
            if "Rows" not in header or "SeriesInstanceUID" not in header:
                return None
            traits = _traits(header)
            planes = tuple(_planes(entry, header, traits))
            uid = _text(header.get("SOPInstanceUID"))
            return Image(entry, uid, traits, planes, left < _pixel_bytes(header))
    except OSError as error:
        raise ScanError(f"{entry}: cannot be read ({error.strerror or error}).") from error
    except ScanError:
        raise
    except Exception as error:  # whatever pydicom meets in a damaged header
        raise ScanError(
            f"{entry}: its DICOM header is damaged ({type(error).__name__}). Export it again."
        ) from error


def full_header(entry: Entry) -> Dataset:
    """All elements but the pixels. Raises ``ScanError`` where the file cannot be read any more."""
    try:
        with quiet(), entry.opened() as file:
            return pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except Exception as error:
        raise ScanError(
            f"{entry}: cannot be read any more ({type(error).__name__}). See that the study stays "
            "where it is until the run ends."
        ) from error


def _bytes_left(file: Any) -> int:
    place = file.tell()
    return int(file.seek(0, os.SEEK_END)) - int(place)


def _pixel_bytes(header: Dataset) -> int:
    """What the pixels take at least where they are not compressed."""
    syntax = str(header.file_meta.get("TransferSyntaxUID", UID("1.2.840.10008.1.2")))
    if syntax not in NATIVE:
        return 0
    bits = int(header.get("BitsAllocated", 8)) * int(header.get("SamplesPerPixel", 1))
    frames = int(header.get("NumberOfFrames", 1) or 1)
    return int(header.Rows) * int(header.Columns) * frames * bits // 8


def _traits(header: Dataset) -> Traits:
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    frame = _first(header.get("PerFrameFunctionalGroupsSequence"))
    groups = (header, *_inner(shared), *_inner(frame))
    words = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    return Traits(
        study=_text(header.get("StudyInstanceUID")),
        series=_text(header.SeriesInstanceUID),
        frame_of_reference=_text(header.get("FrameOfReferenceUID")),
        number=_whole(header.get("SeriesNumber")),
        description=_text(header.get("SeriesDescription")),
        name="; ".join(_text(header.get(word)) for word in words).lower(),
        modality=_text(header.get("Modality")),
        image_type=_texts(header.get("ImageType")),
        body_part=_text(header.get("BodyPartExamined")).lower(),
        sequence=_texts(header.get("ScanningSequence")),
        variant=_texts(header.get("SequenceVariant")),
        acquisition=_text(header.get("MRAcquisitionType")),
        contrast=_text(_stated(groups, "AcquisitionContrast")),
        agent=_text(header.get("ContrastBolusAgent")),
        tr_ms=_number(_stated(groups, "RepetitionTime")),
        te_ms=_echo_ms(groups),
        ti_ms=_number(_stated(groups, "InversionTime", "InversionTimes")),
        b_value=_number(_stated(groups, "DiffusionBValue")),
        samples=int(header.get("SamplesPerPixel", 1)),
        inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
        patient_name=_text(header.get("PatientName")),
        patient=_patient_words(header),
    )


def _patient_words(header: Dataset) -> tuple[str, ...]:
    found = [_text(header.get(word)) for word in ("PatientName", "PatientID")]
    found += _texts(header.get("OtherPatientIDs"))
    parts = {part for text in found for part in text.replace("^", " ").replace("=", " ").split()}
    return tuple(sorted(parts | {text for text in found if text}))


def _planes(entry: Entry, header: Dataset, traits: Traits) -> Iterator[Plane]:
    """The file's images that say where they lie."""
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    own: Sequence[Dataset | None] = header.get("PerFrameFunctionalGroupsSequence") or []
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if frames > MOST_FRAMES:
        raise ScanError(f"{entry}: claims {frames:,} frames, at most {MOST_FRAMES:,} are read.")
    for frame in range(frames):
        # A frame's own group comes before the shared one, the plain header last.
        mine = _inner(own[frame]) if frame < len(own) else ()
        plane = _plane(entry, header, (*mine, *_inner(shared), header), frame, frames)
        if plane is not None:
            yield plane


def _plane(
    entry: Entry, header: Dataset, groups: Sequence[Dataset], frame: int, frames: int
) -> Plane | None:
    position = _vector(_stated(groups, "ImagePositionPatient"), 3)
    axes = _vector(_stated(groups, "ImageOrientationPatient"), 6)
    spacing = _vector(_stated(groups, "PixelSpacing"), 2)
    if position is None or axes is None or spacing is None:
        return None
    slope = _number(_stated(groups, "RescaleSlope"))
    intercept = _number(_stated(groups, "RescaleIntercept"))
    kind = _texts(header.get("ImageType"))
    return Plane(
        entry,
        _text(header.get("SOPClassUID")),
        _text(header.get("SOPInstanceUID")),
        frame,
        frames,
        _whole(header.get("InstanceNumber")),
        (int(header.Columns), int(header.Rows)),
        (spacing[1], spacing[0]),
        (position[0], position[1], position[2]),
        axes[:3],
        axes[3:],
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        _echo_ms(groups),
        kind[2] if len(kind) > 2 and kind[2] in ("M", "P", "R", "I") else "",
    )


def _inner(group: Dataset | None) -> tuple[Dataset, ...]:
    """What a functional group holds: the first item of each of its sequences."""
    if group is None:
        return ()
    return tuple(
        item[0] for item in (element.value for element in group if element.VR == "SQ") if item
    )


def _first(sequence: Sequence[Dataset] | None) -> Dataset | None:
    return sequence[0] if sequence else None


def _stated(groups: Sequence[Dataset], *words: str) -> Any:
    """The first of ``groups`` that states it decides."""
    for group in groups:
        for word in words:
            value = group.get(word)
            if value is not None and value != "":
                return value
    return None


def _echo_ms(groups: Sequence[Dataset]) -> float | None:
    return _number(_stated(groups, "EffectiveEchoTime", "EchoTime"))


def _number(value: Any) -> float | None:
    try:
        return float(value[0] if isinstance(value, Sequence) else value)
    except (TypeError, ValueError, IndexError):
        return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _vector(value: Any, count: int) -> Vector | None:
    try:
        found = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count else None


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (_text(value),) if isinstance(value, str) else tuple(_text(word) for word in value)


def _text(value: Any) -> str:
    """As it may stand in a line, as a damaged header may hold anything; empty: not stated."""
    return printable(str(value or ""))


def study_date(file: Path) -> str:
    """``StudyDate`` of a DICOM file, YYYYMMDD; empty where it is no DICOM or states none."""
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["StudyDate"])
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError):
        return ""
    return _text(header.get("StudyDate"))
