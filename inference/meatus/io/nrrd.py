"""NRRD: text lines, an empty line, the voxels; read and written as ITK does."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable

import numpy as np

from meatus.errors import ScanError
from meatus.io.headers import (
    Header,
    grid,
    in_millimetres,
    numbers,
    spacing_and_axes,
    volume_size,
    whole_numbers,
)
from meatus.io.label_names import segment_fields
from meatus.volumes import Labels

TYPES = {"signed char": "i1", "int8": "i1", "uchar": "u1", "unsigned char": "u1", "uint8": "u1",
         "short": "i2", "short int": "i2", "signed short": "i2", "signed short int": "i2",
         "int16": "i2", "ushort": "u2", "unsigned short": "u2", "unsigned short int": "u2",
         "uint16": "u2", "int": "i4", "signed int": "i4", "int32": "i4", "uint": "u4",
         "unsigned int": "u4", "uint32": "u4", "longlong": "i8", "long long": "i8",
         "long long int": "i8", "signed long long": "i8", "signed long long int": "i8",
         "int64": "i8", "ulonglong": "u8", "unsigned long long": "u8",
         "unsigned long long int": "u8", "uint64": "u8", "float": "f4",
         "double": "f8"}  # fmt: skip

# To LPS+. Spaces that ITK does not know either are taken as LPS+, with a warning.
TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip

# The short names of the spaces that have time as their fourth axis.
TIMED = ("rast", "last", "lpst")

Fields = dict[str, str]


def parse(head: bytes) -> Header:
    """What the first bytes of a .nrrd file say about its voxels.

    Raises ``ScanError`` where they are no NRRD header, or not that of one grey-value volume in
    the same file.
    """
    fields, offset = _fields(head)
    _check_storage(fields)
    rank = whole_numbers(_field(fields, "dimension"), 1, "dimension")[0]
    if rank not in (3, 4):
        raise ScanError(f"{rank} axes; expected three. Pass the whole hrT2 volume.")
    sizes = whole_numbers(_field(fields, "sizes"), rank, "sizes")
    steps = _steps(fields, rank)
    kept = _spatial(sizes, steps)
    size = volume_size([sizes[axis] for axis in kept])
    space = fields.get("space", "").lower()
    if "time" in space.split("-") or space in TIMED:
        raise ScanError(
            f"its space {space[:40]!r} has time as an axis; expected a volume at one time. "
            "Save the hrT2 volume as a file of its own and pass that."
        )
    flips = np.array(TO_LPS.get(space, (1, 1, 1)), dtype=np.float64)
    columns = np.array([steps[axis][:3] for axis in kept], dtype=np.float64).T
    origin = np.array(_vector(fields.get("spaceorigin", "(0,0,0)"), "space origin")[:3])
    flips *= _unit_mm(fields)
    geometry, repaired = grid(size, *spacing_and_axes(flips[:, None] * columns), flips * origin)
    deflated = _field(fields, "encoding").lower() in ("gzip", "gz")
    warnings = (*_unplaced(fields), *repaired)
    return Header(geometry, _dtype(fields), offset, deflated, warnings=warnings)


def _fields(head: bytes) -> tuple[Fields, int]:
    """The header's fields, their names without spaces, and where the voxels begin."""
    fields: Fields = {}
    start = head.find(b"\n") + 1
    if not head.startswith(b"NRRD") or not start:
        raise ScanError("not an NRRD file. Convert the scan to .nii.gz.")
    while (end := head.find(b"\n", start)) >= 0:
        line = head[start:end].decode("latin-1").strip()
        start = end + 1
        if not line:
            return fields, start
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.replace(" ", "").lower()] = value.strip()
    raise ScanError("its NRRD header does not end. Export the scan again.")


def _check_storage(fields: Fields) -> None:
    if "datafile" in fields:
        # A scan from elsewhere must not make this program open further files.
        raise ScanError(
            f"its voxels lie in another file ({fields['datafile'][:60]!r}); expected them in the "
            ".nrrd file itself. Save it as one file."
        )
    encoding = _field(fields, "encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ScanError(f"encoding {encoding[:20]!r}; expected raw or gzip. Save it as .nii.gz.")
    if any(fields.get(name, "0") != "0" for name in ("byteskip", "lineskip")):
        raise ScanError("bytes or lines to skip before its voxels. Save it as .nii.gz.")


def _steps(fields: Fields, rank: int) -> list[list[float]]:
    """For each axis one voxel's step in space; empty for an axis that does not lie there."""
    if "spacedirections" in fields:
        words = re.findall(r"\([^()]*\)|[^\s()]+", fields["spacedirections"])
        if len(words) != rank:
            raise ScanError(f"{len(words)} space directions for {rank} axes. Export it again.")
        return [[] if word == "none" else _vector(word, "space directions") for word in words]
    spacings = numbers(_field(fields, "spacings"), rank, "spacings")
    return [[spacing if at == axis else 0.0 for at in range(3)] if axis < 3 else []
            for axis, spacing in enumerate(spacings)]  # fmt: skip


def _unit_mm(fields: Fields) -> float:
    """How many millimetres the units of space have; those of an axis where there is no space."""
    stated = fields.get("spaceunits", fields.get("units", ""))
    return in_millimetres(next(iter(re.findall(r'"[^"]*"|\S+', stated)), ""))


def _spatial(sizes: list[int], steps: list[list[float]]) -> list[int]:
    """The volume's three axes, and any further one that holds more than one frame or value."""
    further = [axis for axis, step in enumerate(steps) if not step]
    if len(sizes) == 4 and not further:
        further = [3]  # time, which ITK writes as a fourth direction
    kept = [axis for axis in range(len(sizes)) if axis not in further or sizes[axis] != 1]
    if len(kept) != 3 or any(len(steps[axis]) < 3 for axis in kept):
        raise ScanError(
            f"sizes {tuple(sizes)}; expected three axes in space and one grey value per voxel. "
            "Save the hrT2 volume as a file of its own and pass that."
        )
    return kept


def _unplaced(fields: Fields) -> tuple[str, ...]:
    if "spacedirections" not in fields:
        return ("header states no directions: axes taken as left, posterior, superior",)
    if fields.get("space", "").lower() not in TO_LPS:
        return ("header names no patient axes that are known here: taken as LPS",)
    return ()


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    name = " ".join(_field(fields, "type").lower().removesuffix("_t").split())
    if name not in TYPES:
        raise ScanError(f"voxels of type {name[:40]!r}; expected one grey value per voxel.")
    dtype, order = np.dtype(TYPES[name]), fields.get("endian", "").lower()
    if dtype.itemsize > 1 and order not in ("little", "big"):
        raise ScanError(f"byte order {order[:20]!r}; expected little or big. Export it again.")
    return dtype.newbyteorder(">" if order == "big" else "<")


def _vector(text: str, what: str) -> list[float]:
    words = text.strip().removeprefix("(").removesuffix(")").split(",")
    return numbers(" ".join(words), len(words) if len(words) in (3, 4) else 3, what)


def _field(fields: Fields, name: str) -> str:
    if name not in fields:
        raise ScanError(f"its header lacks {name!r}. Export the scan again.")
    return fields[name]


def label_bytes(labels: Labels) -> bytes:
    """A label map as an .nrrd file, with its labels' names as 3D Slicer's segments."""
    geometry = labels.geometry
    steps = (geometry.axes * np.array(geometry.spacing_mm)).T
    lines = (
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, geometry.size))}",
        f"space directions: {' '.join(_bracketed(step.tolist()) for step in steps)}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_bracketed(geometry.origin_mm)}",
        *segment_fields(geometry.size),
    )
    voxels = labels.voxels.astype(np.uint8, copy=False).tobytes()
    packed = gzip.compress(voxels, compresslevel=3, mtime=0)
    return "\n".join((*lines, "", "")).encode() + packed


def _bracketed(values: Iterable[float]) -> str:
    return f"({','.join(str(value) for value in values)})"
