"""A cohort on disk: the challenge's folders and names, volumes, the table of what was drawn.

crossmoda23_training/TrainingSource/crossmoda2023_<site>_<n>_ceT1.nii.gz, ..._Label.nii.gz
crossmoda23_training/TrainingTarget/crossmoda2023_<site>_<n>_T2.nii.gz
crossmoda23_validation, crossmoda23_test: crossmoda2023_<site>_<n>_T2.nii.gz
truth/target, truth/validation, truth/test: crossmoda2023_<site>_<n>_Label.nii.gz
truth/tissues: the tissue of every voxel, of a few scans
paired: each subject's other contrast with its own labels, where asked for
cohort.csv, cohort.json: what was drawn for each scan, and from which settings
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from meatus.atomic import written_whole
from meatus.geometry import Geometry
from meatus_phantom.acquisition.setup import Modality
from meatus_phantom.errors import PhantomError

Split = Literal["source", "target", "validation", "test"]
Row = dict[str, str]

FOLDERS: dict[Split, str] = {
    "source": "crossmoda23_training/TrainingSource",
    "target": "crossmoda23_training/TrainingTarget",
    "validation": "crossmoda23_validation",
    "test": "crossmoda23_test",
}
SUFFIX: dict[Modality, str] = {"ceT1": "ceT1", "hrT2": "T2"}
TABLE, SETTINGS = "cohort.csv", "cohort.json"
WORK = ".cohort"  # rows of finished scans and unfinished files, until the table is written
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
COMPRESSION = 4


def scan_path(split: Split, site: str, number: int, modality: Modality, paired: bool) -> str:
    """A scan's path below the cohort's folder."""
    folder = "paired" if paired else FOLDERS[split]
    return f"{folder}/crossmoda2023_{site}_{number}_{SUFFIX[modality]}.nii.gz"


def label_path(split: Split, site: str, number: int, paired: bool) -> str:
    """Its truth's path: beside it in the source, apart from what training reads elsewhere."""
    folder = "paired" if paired else FOLDERS[split] if split == "source" else f"truth/{split}"
    return f"{folder}/crossmoda2023_{site}_{number}_Label.nii.gz"


def tissue_path(site: str, number: int, modality: Modality) -> str:
    return f"truth/tissues/crossmoda2023_{site}_{number}_{SUFFIX[modality]}_Tissues.nii.gz"


def volume_bytes(voxels: NDArray[Any], geometry: Geometry) -> bytes:
    """A gzipped NIfTI file of ``voxels`` (Z, Y, X); equal volumes give equal bytes."""
    affine = np.eye(4)
    affine[:3, :3] = geometry.axes * np.array(geometry.spacing_mm)
    affine[:3, 3] = geometry.origin_mm
    image = nib.nifti1.Nifti1Image(voxels.transpose(2, 1, 0), LPS_TO_RAS @ affine)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=COMPRESSION, mtime=0)


def write_whole(data: bytes, out: Path, name: str) -> str:
    """Write ``out / name`` all at once or not at all; the SHA-256 of ``data``.

    Raises ``OutputError`` where the disk refuses; ``--resume`` then goes on.
    """
    path = out / name
    with written_whole(path, within=out / WORK) as unfinished:
        for folder in (path.parent, unfinished.parent):
            folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def row_file(scan: str) -> str:
    """Where the row of a finished scan waits for the table."""
    return f"{WORK}/{scan.replace('/', '+')}.json"


def load_rows(out: Path) -> dict[str, Row]:
    """The rows of the scans that are finished, by the scan's path."""
    rows = {row["scan"]: row for row in read_table(out)} if (out / TABLE).exists() else {}
    for path in sorted((out / WORK).glob("*.json")):
        row: Row = json.loads(path.read_text())
        rows[row["scan"]] = row
    return rows


def is_whole(out: Path, row: Row | None) -> bool:
    """Whether all files of ``row`` are there, byte for byte."""
    return row is not None and all(
        sha256(out / row[kind]) == row[f"{kind}_sha256"]
        for kind in ("scan", "label", "tissues")
        if row[kind]
    )


def sha256(path: Path) -> str:
    """Of a file's bytes; empty where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(out: Path, rows: Sequence[Row]) -> None:
    """One row per scan; columns in the order in which scans bring them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(text.getvalue().encode(), out, TABLE)


def read_table(out: Path) -> list[Row]:
    """The rows of ``cohort.csv``. Raises ``PhantomError`` where it cannot be used."""
    path = out / TABLE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PhantomError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); expected the "
            "folder of a finished cohort. Finish it with `phantom ... --resume`."
        ) from error
    wanted = {"scan", "label", "tissues", "split", "paired", "subject_seed", "site", "modality"}
    missing = wanted - set(rows[0]) if rows else wanted
    if missing:
        raise PhantomError(f"{path}: has no column {', '.join(sorted(missing))}; make it again.")
    return rows


def write_settings(out: Path, settings: Mapping[str, Any]) -> None:
    write_whole((json.dumps(settings, indent=2) + "\n").encode(), out, SETTINGS)


def read_settings(out: Path) -> dict[str, Any] | None:
    """What the cohort in ``out`` was made from; none where there is no cohort."""
    path = out / SETTINGS
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PhantomError(f"{path}: cannot be read ({error}); begin in a new folder.") from error
    return found
