"""One case: from its files to the arrays that the networks read, once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from meatus import __version__
from meatus.atomic import write_whole
from meatus.crop import RATIO_LIMITS, Field, middle_crop, reference_crop, whole_image
from meatus.geometry import Array, Geometry, axial, largest_share_labels, reorient
from meatus.io.images import read_label_map, read_scan
from meatus.preprocess import prepare
from meatus.spec import ReferenceCrop
from meatus.volumes import Labels, Scan
from meatus_evaluation.scoring.surface import bounding_box
from meatus_phantom.array_files import array_bytes
from meatus_training.prepare.cases import PreparedCase, Split, absolute, relative
from meatus_training.prepare.check import Checked
from meatus_training.prepare.raw import NUMBER, Part, RawCase
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.settings_files import settings_hash

FORMAT = 2

# An adult head is about 150 mm wide; both inner ears lie within 90 mm. Less than this along an
# axis is a part of a head, in which the middle of the tissue is not the middle of the head.
SIDE_MM = 120.0
DEPTH_MM = 20.0  # of the slices together; labyrinth and canal need no more


@dataclass(frozen=True)
class Record:
    """A finished case; written last, so that its arrays are whole."""

    key: str  # of the settings and the files that it was made from
    case: PreparedCase  # paths of arrays relative to the folder of all
    checked: Checked


_RECORD = TypeAdapter(Record)


def make_case(raw: RawCase, checked: Checked, settings: PrepareSettings, folder: Path) -> Record:
    """Prepare ``raw`` and write its arrays and its record below ``folder``."""
    record_file = _record_file(raw, folder)
    record_file.unlink(missing_ok=True)  # no record may speak of arrays that are being replaced
    key = case_key(raw, settings)
    scan = read_scan(raw.scan)
    native = axial(scan.geometry)
    complete = shows_whole_head(reorient(scan.voxels, scan.geometry, native), native)
    spec, field = settings.spec(), training_field(raw.split, complete)
    prepared = prepare(scan, spec, field)
    voxels = prepared.voxels.astype(np.float16)
    labels, slices = None, _slices(scan, settings, field)
    if raw.label is not None:
        truth = read_label_map(raw.label, dict(enumerate(raw.parts)))
        renumbered = Scan(_renumbered(truth, raw.parts), truth.geometry)
        labels = largest_share_labels(renumbered.voxels, renumbered.geometry, prepared.geometry)
    stem = folder / raw.split / raw.name
    case = PreparedCase(
        name=raw.name,
        split=raw.split,
        site=raw.site,
        modality=raw.modality,
        scan=raw.scan,
        voxels=stem.with_name(f"{raw.name}.voxels.npy"),
        labels=None if labels is None else stem.with_name(f"{raw.name}.labels.npy"),
        size=native.size,
        spacing_mm=native.spacing_mm,
        geometry=prepared.geometry,
        complete=complete,
        digest=_digest(voxels, labels, slices),
        slices=None if slices is None else stem.with_name(f"{raw.name}.slices.npy"),
    )
    for file, array in ((case.voxels, voxels), (case.labels, labels), (case.slices, slices)):
        if file is not None and array is not None:
            write_whole(file, array_bytes(array))
    record = Record(key, relative(case, folder), checked)
    write_whole(record_file, _RECORD.dump_json(record))
    return record


def finished(raw: RawCase, settings: PrepareSettings, folder: Path) -> Record | None:
    """The record of ``raw`` where it is done and neither settings nor files have changed."""
    try:
        record = _RECORD.validate_json(_record_file(raw, folder).read_bytes())
        if record.key != case_key(raw, settings):
            return None
    except (OSError, ValidationError):
        return None
    case = absolute(record.case, folder)
    if not all(_is_array(file) for file in case.files):
        return None
    # The same files may have been moved, or told to be of another site, since.
    return replace(record, case=replace(record.case, scan=raw.scan, site=raw.site))


def _is_array(file: Path) -> bool:
    """Whether all of it is there: a power failure may leave a file without its content."""
    try:
        np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


def case_key(raw: RawCase, settings: PrepareSettings) -> str:
    """Changes with the settings, this code's version and the files' sizes and times.

    Raises ``OSError`` where a file is gone.
    """
    files = [path.stat() for path in (raw.scan, raw.label) if path is not None]
    sizes_and_times = [(file.st_size, file.st_mtime_ns) for file in files]
    told = [FORMAT, __version__, settings_hash(settings), raw.modality, raw.parts, sizes_and_times]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _record_file(raw: RawCase, folder: Path) -> Path:
    return folder / raw.split / f"{raw.name}.json"


def _renumbered(truth: Labels, parts: tuple[Part, ...]) -> NDArray[np.float32]:
    """The label map with the numbers of ``Structure``."""
    numbers = np.array([NUMBER[part] for part in parts], dtype=np.float32)
    return numbers[truth.voxels]


def training_field(split: Split, complete: bool) -> Field:
    """What a reference crop leaves of a scan that is trained on.

    All heads are cut alike, that the networks learn one scale; parts of heads stay whole. (That
    small images stay whole is the published code's rule for inference, as scans to be
    validated on are cut.)
    """
    if split == "validation":
        return reference_crop
    return middle_crop if complete else whole_image


def _slices(scan: Scan, settings: PrepareSettings, field: Field) -> NDArray[np.float16] | None:
    """(Z, size, size) for the translator, sampled once from the scan itself."""
    spec, size = settings.spec(), settings.translation_size
    if not size or not isinstance(spec.crop, ReferenceCrop):
        return None
    small = replace(spec, crop=replace(spec.crop, size=(size, size)))
    return prepare(scan, small, field).voxels.astype(np.float16)


def _digest(*arrays: NDArray[Any] | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def shows_whole_head(voxels: Array, geometry: Geometry) -> bool:
    """Whether what is not empty of ``voxels`` (Z, Y, X), axial, is about as large as a head.

    Blank borders, which hold the volume's minimum, count as missing.
    """
    depth_mm, side_y_mm, side_x_mm = (
        (part.stop - part.start) * width
        for part, width in zip(
            bounding_box(voxels > voxels.min()), reversed(geometry.spacing_mm), strict=True
        )
    )
    low, high = RATIO_LIMITS
    large: bool = min(side_x_mm, side_y_mm) >= SIDE_MM and depth_mm >= DEPTH_MM
    return large and bool(low <= side_y_mm / side_x_mm <= high)
