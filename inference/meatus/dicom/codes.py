"""What the structures are called: coded concepts, colours, names of regions of interest.

SNOMED CT codes as the DICOM standard's context groups list them (PS3.16), but for two: 126949007,
vestibular schwannoma (also acoustic neuroma, ICD-10-CM D33.3), and 80169004, cochlear structure
(as in the mapping of AAPM TG-263 names by HL7's radiotherapy guide). That a part lies outside the
meatus no verified code says, so it is told by one of our own scheme.
"""

from __future__ import annotations

from dataclasses import dataclass

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from meatus.structures import LABEL_NAMES, RGB, Structure

OWN_SCHEME = "99MEATUS"

ABNORMAL = CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMY = CodedConcept("91723000", "SCT", "Anatomical Structure")
SCHWANNOMA = CodedConcept("126949007", "SCT", "Vestibular schwannoma")
COCHLEA = CodedConcept("80169004", "SCT", "Cochlear structure")
MEATUS = CodedConcept("61671002", "SCT", "Internal Auditory Meatus")
NERVE = CodedConcept("8598002", "SCT", "Vestibulocochlear nerve")
OUTSIDE = CodedConcept("extra-meatal", OWN_SCHEME, "Outside the internal auditory meatus")
INSIDE = CodedConcept("intra-meatal", OWN_SCHEME, "Inside the internal auditory meatus")

IMAGING = codes.SCT.ImagingProcedure
VOLUME = codes.SCT.Volume
DIAMETER = codes.SCT.Diameter
MAXIMUM = codes.SCT.Maximum
MM, MM3 = codes.UCUM.Millimeter, codes.UCUM.CubicMillimeter
EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
COMMENT = codes.DCM.Comment
ARTIFICIAL_INTELLIGENCE = codes.DCM.ArtificialIntelligence


@dataclass(frozen=True)
class Term:
    """How DICOM objects call one structure."""

    label: str
    roi: str  # of at most 16 letters, as planning systems show (AAPM TG-263)
    category: CodedConcept
    kind: CodedConcept
    region: CodedConcept | None
    modifier: CodedConcept | None
    rgb: tuple[int, int, int]  # the colours of the report's pictures
    interpreted: str  # RT ROI Interpreted Type


TERMS = {
    Structure.EXTRA_MEATAL: Term(
        LABEL_NAMES[Structure.EXTRA_MEATAL],
        "VS_extrameatal",
        ABNORMAL,
        SCHWANNOMA,
        NERVE,
        OUTSIDE,
        RGB[Structure.EXTRA_MEATAL],
        "GTV",
    ),
    Structure.INTRA_MEATAL: Term(
        LABEL_NAMES[Structure.INTRA_MEATAL],
        "VS_intrameatal",
        ABNORMAL,
        SCHWANNOMA,
        MEATUS,
        INSIDE,
        RGB[Structure.INTRA_MEATAL],
        "GTV",
    ),
    Structure.COCHLEA: Term(
        LABEL_NAMES[Structure.COCHLEA],
        "Cochlea",
        ANATOMY,
        COCHLEA,
        None,
        None,
        RGB[Structure.COCHLEA],
        "ORGAN",
    ),
}
WHOLE = Term(
    "Vestibular schwannoma", "VS", ABNORMAL, SCHWANNOMA, NERVE, None, (255, 160, 64), "GTV"
)
