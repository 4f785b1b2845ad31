"""A folder of contour files to label maps and one table of volumes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.structures import Structure
from meatus.volumes import Labels
from meatus_phantom.contours.planes import Contour
from meatus_phantom.contours.read import Patient, read_contours
from meatus_phantom.contours.shape import prism_mm3, rasterise
from meatus_phantom.errors import ContourError

SPACING_MM = (0.4, 0.4, 1.0)
FIELD_MARGIN_MM = 8.0
TABLE = "volumes.csv"
# Manual cochleae of the collection hold 18 to 115 mm3, most 32 to 93.
SMALL_COCHLEA_MM3 = 25.0
MISSING_PLANE = 1.6  # a gap of this many spacings leaves a plane out

Row = dict[str, str | int | float]


def import_contours(folder: Path, out: Path, say: Callable[[str], None]) -> int:
    """Write ``<subject>_Label.nii.gz`` for each contour file in ``folder``, and ``volumes.csv``.

    The tumour is 1, since nothing tells where the porus parts it, and the cochlea is 3. A file
    that cannot be used is told to ``say`` in one line, and the others go on; the number of such
    files is returned. Raises ``ContourError`` where the folder holds no contour file.
    """
    files = contour_files(folder)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Row] = {}
    failures = 0
    for path in files:
        try:
            patient = read_contours(path)
            if patient.subject in rows:
                raise ContourError(path, None, f"{patient.subject} was already read")
            labels = label_map(patient)
        except ContourError as error:
            say(str(error))
            failures += 1
            continue
        write_labels(labels, out / f"{patient.subject}_Label.nii.gz")
        rows[patient.subject] = _row(patient, labels)
    _write_table(out / TABLE, list(rows.values()))
    say(f"{len(rows)} of {len(files)} patients written to {out}")
    return failures


def contour_files(folder: Path) -> list[Path]:
    """The ``*.json`` and ``*.json.gz`` files in ``folder``, by name."""
    if not folder.is_dir():
        raise ContourError(folder, None, "is not a folder")
    files = sorted(p for p in folder.iterdir() if p.name.endswith((".json", ".json.gz")))
    if not files:
        raise ContourError(folder, None, "holds no *.json or *.json.gz file")
    return files


def label_map(patient: Patient, spacing_mm: tuple[float, float, float] = SPACING_MM) -> Labels:
    """Tumour (1) and cochlea (3) on an upright grid about both; where they meet, the cochlea."""
    geometry = field_of(patient, spacing_mm)
    voxels = np.zeros(geometry.shape, dtype=np.uint8)
    voxels[rasterise(patient.tumour, geometry)] = Structure.EXTRA_MEATAL
    if patient.cochlea is not None:
        voxels[rasterise(patient.cochlea, geometry)] = Structure.COCHLEA
    return Labels(voxels, geometry)


def field_of(patient: Patient, spacing_mm: tuple[float, float, float]) -> Geometry:
    """A grid about the contours, whose slices begin where the tumour does."""
    drawn = [c.points_mm for c in (patient.tumour, patient.cochlea) if c is not None]
    points = np.concatenate(drawn)
    step = np.array(spacing_mm)
    bottom = patient.tumour.points_mm[:, 2].min() - patient.tumour.spacing_mm / 2
    anchor = np.array([*patient.tumour.centre_mm[:2], bottom + spacing_mm[2] / 2])
    low = np.floor((points.min(axis=0) - FIELD_MARGIN_MM - anchor) / step)
    high = np.ceil((points.max(axis=0) + FIELD_MARGIN_MM - anchor) / step)
    x, y, z = (int(n) + 1 for n in high - low)
    origin = (float(v) for v in anchor + low * step)
    return Geometry((x, y, z), spacing_mm, (next(origin), next(origin), next(origin)))


def _row(patient: Patient, labels: Labels) -> Row:
    tumour, cochlea = patient.tumour, patient.cochlea
    row: Row = {"subject": patient.subject, "side": "L" if patient.side > 0 else "R"}
    row |= _figures("tumour", tumour, labels, Structure.EXTRA_MEATAL)
    if cochlea is not None:
        row |= _figures("cochlea", cochlea, labels, Structure.COCHLEA)
    row["flags"] = "; ".join(flags(patient))
    return row


def _figures(prefix: str, contour: Contour, labels: Labels, structure: Structure) -> Row:
    voxels = int((labels.voxels == structure).sum()) * labels.geometry.voxel_mm3
    x, y, z = (round(v, 2) for v in contour.extent_mm)
    return {
        f"{prefix}_name": contour.name,
        f"{prefix}_mm3": round(prism_mm3(contour), 1),
        f"{prefix}_label_mm3": round(voxels, 1),
        f"{prefix}_x_mm": x,
        f"{prefix}_y_mm": y,
        f"{prefix}_z_mm": z,
        f"{prefix}_planes": len(contour.offsets_mm),
        f"{prefix}_spacing_mm": round(contour.spacing_mm, 2),
    }


def flags(patient: Patient) -> list[str]:
    """What a user should look at before trusting these contours."""
    found = []
    for contour in (patient.tumour, patient.cochlea):
        if contour is not None:
            gaps = np.diff(contour.offsets_mm) / contour.spacing_mm
            if float(gaps.max()) > MISSING_PLANE:
                found.append(f"{contour.name}: a plane is missing")
    if patient.cochlea is None:
        return [*found, "no cochlea"]
    if prism_mm3(patient.cochlea) < SMALL_COCHLEA_MM3:
        found.append("small cochlea")
    lateral = patient.side * (patient.tumour.centre_mm[0] - patient.cochlea.centre_mm[0])
    if lateral > 0:
        found.append("tumour lateral of cochlea")
    return found


def _write_table(path: Path, rows: list[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "flags"))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*names, "flags"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
