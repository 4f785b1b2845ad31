"""What a derivative dataset holds beside its label maps, after the BIDS specification."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from meatus import __version__
from meatus.bids.dataset import Scan, describe
from meatus.errors import UsageError
from meatus.service.cases import BIDS_DATASET, Case
from meatus.structures import CLASS_NAMES, LABEL_NAMES, RGB, Structure

BIDS_VERSION = "1.10.0"
NAME = "meatus"
MARKS = f"space-orig_desc-{NAME}"
README = """Label maps of vestibular schwannoma and cochlea, made by meatus; not for clinical use.

1: tumour outside the meatus; 2: tumour inside the meatus; 3: both cochleae. They lie on the grid of
the T2w scan that their sidecars name.
"""
LOOK_UP = f"desc-{NAME}_dseg.tsv"


def case_of(scan: Scan, dataset: Path, out: Path, *, probabilities: bool) -> Case:
    """The case of a scan, whose files are named after it."""
    stem = f"{scan.entities}_{MARKS}"
    folder = out / scan.folder
    source = f"bids:raw:{quote(scan.file.relative_to(dataset).as_posix())}"
    about: dict[str, Any] = {
        "Description": "Vestibular schwannoma and cochlea",
        "Sources": [source],
        "SpatialReference": source,
    }
    sidecars = {folder / f"{stem}_dseg.json": about | {"Manual": False}}
    if probabilities:
        sidecars[folder / f"{stem}_probseg.json"] = about | {"LabelMap": list(CLASS_NAMES)}
    return Case(
        scan.entities,
        scan.file,
        folder / f"{stem}_dseg.nii.gz",
        soft=folder / f"{stem}_probseg.nii.gz",
        sidecars=tuple((path, _json(content)) for path, content in sidecars.items()),
    )


def common_files(dataset: Path, out: Path) -> dict[Path, bytes]:
    """What stands once in the derivative dataset ``out`` of ``dataset``.

    Raises ``UsageError`` where ``out`` is the dataset itself, or another program's.
    """
    if out.exists() and out.samefile(dataset):
        raise UsageError(f"{out} is the dataset itself. Name {out / 'derivatives' / NAME}.")
    if (out / BIDS_DATASET).exists():
        makers = describe(out).get("GeneratedBy")
        names = [maker.get("Name") for maker in makers or () if isinstance(maker, dict)]
        if NAME not in names:
            raise UsageError(
                f"{out} is a dataset that {NAME} did not make. Name another folder, such as "
                f"{out / 'derivatives' / NAME}."
            )
    return {
        out / BIDS_DATASET: _json(_description(dataset, out)),
        out / "README": README.encode(),
        out / LOOK_UP: _look_up(),
    }


def _description(dataset: Path, out: Path) -> dict[str, Any]:
    source = describe(dataset)
    where = quote(Path(os.path.relpath(dataset.resolve(), out.resolve())).as_posix())
    of = {"URL": where} | ({"DOI": source["DatasetDOI"]} if source.get("DatasetDOI") else {})
    return {
        "Name": f"{NAME} of {source.get('Name') or 'a dataset without a name'}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": str(source.get("License") or "as the source dataset"),
        "GeneratedBy": [
            {
                "Name": NAME,
                "Version": __version__,
                "Description": "Vestibular schwannoma and cochlea in high-resolution T2 MRI; "
                "research software, not for clinical use",
            }
        ],
        "SourceDatasets": [of],
        "DatasetLinks": {"raw": where},
    }


def _look_up() -> bytes:
    """The labels' table: index, name, abbreviation, color."""
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(("index", "name", "abbreviation", "color"))
    table.writerow((int(Structure.BACKGROUND), "Background", "BG", "#000000"))
    for structure, name in LABEL_NAMES.items():
        red, green, blue = RGB[structure]
        abbreviation = CLASS_NAMES[structure]
        table.writerow((int(structure), name, abbreviation, f"#{red:02x}{green:02x}{blue:02x}"))
    return text.getvalue().encode()


def _json(content: dict[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=2)}\n".encode()
