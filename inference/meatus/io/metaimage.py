"""MetaImage (.mha): text lines before the voxels, read and written as ITK does.

ITK's own reader and writer are not used: it writes to stderr, and on a full disk it leaves a
cut file without saying so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from meatus.errors import ScanError
from meatus.io.headers import (
    Header,
    grid,
    in_millimetres,
    numbers,
    volume_size,
    whole_numbers,
)
from meatus.volumes import Labels

LAST_FIELD = "ElementDataFile"
TYPES = {"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
         "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
         "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
         "MET_DOUBLE": "f8"}  # fmt: skip

Fields = dict[str, str]


def parse(head: bytes) -> Header:
    """What the first bytes of an .mha file say about its voxels.

    Raises ``ScanError`` where they are no MetaImage header, or not that of one grey-value
    volume in the same file.
    """
    fields, offset = read_fields(head)
    _check_storage(fields)
    axes = axes_count(fields)
    size = volume_size(whole_numbers(_field(fields, "DimSize"), axes, "DimSize"))
    spacing = numbers(_field(fields, "ElementSpacing", "ElementSize"), axes, "ElementSpacing")
    origin = _optional(fields, [0.0] * axes, "Offset", "Position", "Origin")
    names = ("TransformMatrix", "Rotation", "Orientation")
    rows = np.reshape(_optional(fields, np.eye(axes).ravel().tolist(), *names), (axes, axes))
    # Row i of the matrix is the direction of axis i; a fourth axis of one frame is left out.
    directions = rows[:3, :3].T
    unit_mm = in_millimetres(fields.get("DistanceUnits", ""))
    place = (unit_mm * np.array(spacing[:3]), directions, unit_mm * np.array(origin[:3]))
    geometry, warnings = grid(size, *place)
    if not any(name in fields for name in names):
        warnings = ("header states no directions: axes taken as left, posterior, superior",)
    return Header(
        geometry, _dtype(fields), offset, _true(fields, "CompressedData"), warnings=warnings
    )


def axes_count(fields: Fields) -> int:
    """How many axes a header states: three, or four. Raises ``ScanError`` for any other."""
    axes = whole_numbers(_field(fields, "NDims"), 1, "NDims")[0]
    if axes not in (3, 4):
        raise ScanError(f"{axes} axes; expected three. Pass the whole hrT2 volume.")
    return axes


def read_fields(head: bytes) -> tuple[Fields, int]:
    """A header's fields, and where the voxels begin. Raises ``ScanError`` where there is none."""
    fields: Fields = {}
    start = 0
    while (end := head.find(b"\n", start)) >= 0:
        name, equals, value = head[start:end].decode("latin-1").partition("=")
        if not equals:
            break
        fields[name.strip()] = value.strip()
        start = end + 1
        if name.strip() == LAST_FIELD:
            return fields, start
    raise ScanError("not a MetaImage file, or its header is damaged. Convert it to .nii.gz.")


def _check_storage(fields: Fields) -> None:
    if fields[LAST_FIELD].upper() != "LOCAL":
        # A scan from elsewhere must not make this program open further files.
        raise ScanError(
            f"its voxels lie in another file ({fields[LAST_FIELD][:60]!r}); expected them in "
            "the .mha file itself. Save it as one file."
        )
    if fields.get("ObjectType", "Image") != "Image" or not _true(fields, "BinaryData"):
        raise ScanError("not an image of binary voxels. Convert it to .nii.gz.")
    if fields.get("HeaderSize", "0") != "0":
        raise ScanError("a MetaImage with HeaderSize. Convert it to .nii.gz.")
    channels = fields.get("ElementNumberOfChannels", "1")
    if channels != "1":
        raise ScanError(
            f"{channels[:20]} values per voxel; expected one grey value. Export the scan in grey."
        )


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    name = _field(fields, "ElementType")
    if name not in TYPES:
        raise ScanError(f"voxels of type {name[:40]!r}; expected one of {', '.join(TYPES)}.")
    swapped = _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB")
    return np.dtype((">" if swapped else "<") + TYPES[name])


def _true(fields: Fields, name: str) -> bool:
    return fields.get(name, "False")[:1].upper() in ("T", "1")


def _field(fields: Fields, *names: str) -> str:
    for name in names:
        if name in fields:
            return fields[name]
    raise ScanError(f"its header lacks {names[0]}. Export the scan again.")


def _optional(fields: Fields, default: list[float], *names: str) -> list[float]:
    given = next((name for name in names if name in fields), None)
    return default if given is None else numbers(fields[given], len(default), given)


def label_bytes(labels: Labels) -> bytes:
    """A label map as an .mha file."""
    packed = zlib.compress(labels.voxels.astype(np.uint8, copy=False).tobytes(), level=3)
    geometry = labels.geometry
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(packed)),
        "TransformMatrix": _words(geometry.axes.T.ravel().tolist()),
        "Offset": _words(geometry.origin_mm),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _words(geometry.spacing_mm),
        "DimSize": _words(geometry.size),
        "ElementType": "MET_UCHAR",
        LAST_FIELD: "LOCAL",
    }
    return "".join(f"{name} = {value}\n" for name, value in fields.items()).encode() + packed


def _words(values: Iterable[float]) -> str:
    return " ".join(str(value) for value in values)
