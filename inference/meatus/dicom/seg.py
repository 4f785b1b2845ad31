"""A label map as a DICOM Segmentation (PS3.3, A.51), one segment for each structure."""

from __future__ import annotations

import copy

import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from meatus.dicom.codes import TERMS
from meatus.dicom.origin import (
    NAME,
    NOTICE,
    Origin,
    copy_patient_and_study,
    new_uid,
    own_scheme,
    stamp,
)
from meatus.geometry import Labelled
from meatus.io.stderr import quiet


def segmentation(origin: Origin) -> Segmentation:
    """Binary segments whose numbers are those of the label map, on the images' own planes.

    All structures are described, found or not; planes without any are left out, yet every image
    is referred to.
    """
    sources = list(origin.headers.values())
    with quiet():  # about names and the like that the images state
        made = Segmentation(
            source_images=sources,
            pixel_array=_in_order_of_files(origin),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=_descriptions(origin),
            series_instance_uid=new_uid(),
            series_number=origin.series_number("dicom-seg"),
            sop_instance_uid=new_uid(),
            instance_number=1,
            manufacturer="Meatus contributors",
            manufacturer_model_name=NAME,
            software_versions=origin.algorithm.version,
            device_serial_number="none",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            content_label="VS_AND_COCHLEA",
            content_description=NOTICE,
            omit_empty_frames=bool(origin.labels.any()),
            coding_schemes=[own_scheme()],
        )
    copy_patient_and_study(origin, made)
    stamp(made, "Meatus: vestibular schwannoma and cochlea")
    return made


def _in_order_of_files(origin: Origin) -> Labelled:
    """The labels of every frame of the files, (n, Y, X): nothing on those of other stacks."""
    planes = origin.placed.planes
    if planes[0].frames == 1:
        return origin.labels
    frames = np.zeros((planes[0].frames, *origin.labels.shape[1:]), dtype=np.uint8)
    frames[[plane.frame for plane in planes]] = origin.labels
    return frames


def _descriptions(origin: Origin) -> list[SegmentDescription]:
    described = []
    for structure, term in TERMS.items():
        item = SegmentDescription(
            segment_number=int(structure),
            segment_label=term.label,
            segmented_property_category=term.category,
            segmented_property_type=copy.deepcopy(term.kind),  # a modifier is put into it
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=origin.algorithm.identification(),
            tracking_uid=new_uid(),
            tracking_id=term.roi,
            anatomic_regions=[term.region] if term.region else None,
            display_color=CIELabColor.from_rgb(*term.rgb),
        )
        if term.modifier is not None:
            kind: Dataset = item.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [term.modifier]
        described.append(item)
    return described
