"""The report as a Comprehensive 3D SR by template TID 1500: measures, flags, what made them."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from meatus.dicom.codes import (
    COMMENT,
    DIAMETER,
    EVALUATIONS,
    IMAGING,
    MAXIMUM,
    MM,
    MM3,
    TERMS,
    VOLUME,
)
from meatus.dicom.origin import (
    NAME,
    NOTICE,
    Origin,
    copy_patient_and_study,
    new_uid,
    own_scheme,
    stamp,
)
from meatus.io.stderr import quiet
from meatus.report.measure import Measures
from meatus.structures import Structure

DIGITS = 16  # of a decimal string


def report(origin: Origin, segments: Segmentation, measures: Measures) -> Comprehensive3DSR:
    """A group of measures for each structure of ``segments`` that was found; texts for the whole.

    Volumes are mm3, the diameter mm: the largest extra-meatal one in an axial slice.
    """
    found = [structure for structure in TERMS if (origin.labels == structure).any()]
    found = found or list(TERMS)  # the template wants a group: then all, of 0 mm3
    with quiet():  # about names and the like that the images state
        content = MeasurementReport(
            observation_context=_observed_by(origin),
            procedure_reported=_procedures(origin.first),
            imaging_measurements=[_group(origin, segments, one, measures) for one in found],
            title=codes.DCM.ImagingMeasurementReport,
        )
        texts = [NOTICE, *_of_the_whole(measures), *origin.algorithm.parameters]
        content[0].ContentSequence.append(_evaluations(texts))
        made = Comprehensive3DSR(
            evidence=[*origin.headers.values(), segments],
            content=content,
            series_instance_uid=new_uid(),
            series_number=origin.series_number("dicom-sr"),
            sop_instance_uid=new_uid(),
            instance_number=1,
            manufacturer="Meatus contributors",
            is_complete=True,
            is_verified=False,
            coding_schemes=[own_scheme()],
        )
    copy_patient_and_study(origin, made)
    made.SoftwareVersions = origin.algorithm.version
    made.ManufacturerModelName = NAME
    stamp(made, "Meatus: measures of vestibular schwannoma and cochlea")
    return made


def _observed_by(origin: Origin) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=new_uid(),
        name=NAME,
        manufacturer_name="Meatus contributors",
        model_name=f"{NAME} {origin.algorithm.version}",
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _procedures(header: Dataset) -> list[CodedConcept]:
    """As the images code it; else only that it was imaging."""
    found = [
        CodedConcept(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
        for item in header.get("ProcedureCodeSequence") or []
        if all(word in item for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    ]
    return found or [CodedConcept.from_code(IMAGING)]


def _group(
    origin: Origin, segments: Segmentation, structure: Structure, measures: Measures
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    term, total = TERMS[structure], measures.total
    volume_mm3 = {
        Structure.EXTRA_MEATAL: total.extra_meatal_mm3,
        Structure.INTRA_MEATAL: total.intra_meatal_mm3,
        Structure.COCHLEA: total.cochlea_mm3,
    }[structure]
    values = [Measurement(VOLUME, _short(volume_mm3), MM3)]
    if structure == Structure.EXTRA_MEATAL:
        widest = _short(measures.extra_meatal_diameter_mm)
        values.append(Measurement(DIAMETER, widest, MM, derivation=MAXIMUM))
    described = segments.SegmentSequence[structure - 1]
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(described.TrackingUID, term.label),
        referenced_segment=ReferencedSegment.from_segmentation(segments, int(structure)),
        finding_category=term.category,
        finding_type=term.kind,
        finding_sites=[FindingSite(term.region)] if term.region else None,
        algorithm_id=AlgorithmIdentification(
            NAME, origin.algorithm.version, parameters=origin.algorithm.parameters
        ),
        measurements=values,
    )
    if term.modifier is not None:
        _add_texts(group[0], [term.modifier.meaning])
    return group


def _of_the_whole(measures: Measures) -> list[str]:
    """What belongs to no one segment, and the flags."""
    total = measures.total
    lines = [
        f"tumour side: {measures.tumour_side}",
        f"whole vestibular schwannoma: {total.whole_vs_mm3:.1f} mm3 "
        f"(right {measures.right.whole_vs_mm3:.1f}, left {measures.left.whole_vs_mm3:.1f})",
        f"cochlea: right {measures.right.cochlea_mm3:.1f} mm3, "
        f"left {measures.left.cochlea_mm3:.1f} mm3",
    ]
    return lines + [f"flag: {flag}" for flag in measures.flags]


def _evaluations(texts: Sequence[str]) -> ContainerContentItem:
    """The template's container for what is said of the whole (TID 1500, rows 12 to 14)."""
    container = ContainerContentItem(EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence()
    _add_texts(container, texts)
    return container


def _add_texts(container: Dataset, texts: Sequence[str]) -> None:
    """Free text, which the templates allow and highdicom's constructors leave to their callers."""
    for text in texts:
        container.ContentSequence.append(
            TextContentItem(COMMENT, text, relationship_type=RelationshipTypeValues.CONTAINS)
        )


def _short(value: float) -> float:
    """What a decimal string can hold."""
    return float(f"{value:.6g}"[:DIGITS])
