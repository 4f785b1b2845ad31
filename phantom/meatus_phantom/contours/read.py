"""Contours of a tumour and cochlea as the TCIA collection Vestibular-Schwannoma-SEG stores them.

A file is a JSON list of structures, plain or gzipped; the first is the tumour, whatever it is
called. Positions are millimetres in the patient's frame (LPS+: x left, y posterior, z up).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meatus_phantom.contours.planes import Contour, stack_planes
from meatus_phantom.errors import ContourError

NAME, POINTS, PATIENT = "structure_name", "LPS_contour_points", "PatientID"
# Names of present tumours in the collection. Earlier dates are called otherwise (Vol2015, 6m).
TUMOUR_NAME = re.compile(r"\b(tv|vs|an|tumou?r|schwannoma)\b", re.IGNORECASE)
SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)")


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient's contours; equal only to itself, so that it can be a key."""

    subject: str
    tumour: Contour
    cochlea: Contour | None  # the one beside the tumour; the other one is never drawn

    @property
    def side(self) -> int:
        """+1 where the tumour is left, -1 where it is right.

        The cochlea lies farther from the midline, whose place in the scanner's frame is not known.
        """
        return 1 if (self.cochlea or self.tumour).centre_mm[0] > 0 else -1


def read_patient_name(path: Path) -> str:
    """The subject in a file's name (``sub-001_...``), else the name before its first dot."""
    found = SUBJECT.match(path.name)
    return found.group(1) if found else path.name.split(".")[0]


def read_contours(path: Path) -> Patient:
    """The tumour and, where it is drawn, the cochlea in ``path``.

    Raises ``ContourError``, one line that names the file and the structure.
    """
    structures = _structures(path)
    names = [_name(path, index, entry) for index, entry in enumerate(structures)]
    _check_one_tumour(path, names)
    tumour = stack_planes(path, names[0], _points(path, names[0], structures[0]))
    cochleae = [
        stack_planes(path, name, _points(path, name, entry))
        for name, entry in zip(names, structures, strict=True)
        if "cochlea" in name.lower()
    ]
    centre = np.array(tumour.centre_mm)
    cochleae.sort(key=lambda one: float(np.linalg.norm(np.array(one.centre_mm) - centre)))
    return Patient(read_patient_name(path), tumour, cochleae[0] if cochleae else None)


def _structures(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        if not text.strip():
            raise ContourError(path, None, "the file is empty; expected a JSON list of structures")
        found = json.loads(text)
    except OSError as error:
        raise ContourError(path, None, f"cannot be read ({error.strerror or error})") from error
    except (EOFError, zlib.error) as error:
        raise ContourError(path, None, "its compressed data end early; copy it again") from error
    except (ValueError, RecursionError) as error:
        raise ContourError(path, None, "not JSON; expected a list of structures") from error
    if not isinstance(found, list):
        raise ContourError(path, None, f"holds a {type(found).__name__}; expected a JSON list")
    if not found:
        raise ContourError(path, None, "holds no structure; expected the tumour first")
    return found


def _name(path: Path, index: int, entry: Any) -> str:
    place = f"structure {index + 1}"
    if not isinstance(entry, dict):
        raise ContourError(path, place, f"is a {type(entry).__name__}; expected an object")
    if NAME not in entry:
        raise ContourError(path, place, f"has no key '{NAME}'")
    return str(entry[NAME]).strip()


def _points(path: Path, name: str, entry: dict[str, Any]) -> Any:
    if POINTS not in entry:
        raise ContourError(path, name, f"has no key '{POINTS}'")
    return entry[POINTS]


def _check_one_tumour(path: Path, names: list[str]) -> None:
    first, *others = names
    if "cochlea" in first.lower():
        raise ContourError(path, first, "comes first; expected the tumour first")
    twins = [name for name in others if name.lower() == first.lower() or TUMOUR_NAME.search(name)]
    if twins:
        raise ContourError(
            path, twins[0], f"is a second tumour beside '{first}'; leave one tumour in the file"
        )
