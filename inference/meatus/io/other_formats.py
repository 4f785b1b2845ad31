"""Formats that are read by libraries: detached headers by SimpleITK, FreeSurfer's by nibabel.

Both are imported when such a file is met. A header that points to a file elsewhere is refused, as
a scan from outside must not make this program open whatever it names.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meatus.errors import ScanError
from meatus.geometry import Geometry
from meatus.io import metaimage, nifti
from meatus.io.checks import check_extent
from meatus.io.headers import Floats, grid, spacing_and_axes, volume_size
from meatus.io.stderr import silent_stderr
from meatus.io.streams import DEFLATE_LIMIT, GZIP, regular_file
from meatus.volumes import Scan

FREESURFER = (".mgz", ".mgh")
OTHER_SUFFIXES = (".mhd", ".nhdr", ".hdr", *FREESURFER)
TEXT_HEADER = 2**20  # bytes of it that are looked at
IMAGE_IO = {".mhd": "MetaImageIO", ".nhdr": "NrrdImageIO", ".hdr": "NiftiImageIO"}

# Where a text header names the file with the voxels.
DATA_FILE = {
    ".mhd": re.compile(rb"^\s*ElementDataFile\s*=\s*(.+?)\s*$", re.MULTILINE),
    ".nhdr": re.compile(rb"^\s*data ?file:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE),
}

# Of an .hdr file: its length, 348, as little-endian bytes begin it; where bits per voxel stand.
PAIR_START = b"\x5c\x01"
BITPIX = slice(72, 74)

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
ADVICE = "Convert the scan to .nii.gz."


def read_other(path: Path) -> Scan:
    """The volume (Z, Y, X) of a file named ``*OTHER_SUFFIXES``, in any case, as float32.

    Raises ``ScanError``, which does not name the file, and ``OSError``.
    """
    if path.suffix.lower() in FREESURFER:
        return _freesurfer(path)
    reader, geometry, warnings = _itk(path)
    check_extent(geometry)
    with _failing("SimpleITK"):
        import SimpleITK as sitk  # a tenth of a second, for these formats alone

        voxels = sitk.GetArrayFromImage(reader.Execute())
    kept = np.asarray(voxels, dtype=np.float32).reshape(geometry.shape)
    return Scan(kept, geometry, None, warnings)


def read_other_grid(path: Path) -> Geometry:
    """Where its voxels lie, as far as the header tells that. Raises as ``read_other``."""
    return _freesurfer(path).geometry if path.suffix.lower() in FREESURFER else _itk(path)[1]


def _itk(path: Path) -> tuple[Any, Geometry, tuple[str, ...]]:
    """A reader that knows the header, the grid, and what had to be repaired."""
    data = _data_file(path)
    with regular_file(data) as file:
        held = file.seek(0, 2)
    _spare_itk(path)
    with _failing("SimpleITK"):
        import SimpleITK as sitk  # a tenth of a second, for these formats alone

        reader = sitk.ImageFileReader()
        reader.SetImageIO(IMAGE_IO[path.suffix.lower()])
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    if reader.GetNumberOfComponents() != 1:
        raise ScanError("several values per voxel; expected one grey value. Export it in grey.")
    rank = reader.GetDimension()
    size = volume_size(list(reader.GetSize()))
    if max(math.prod(size) / DEFLATE_LIMIT, _pair_bytes(path, data, math.prod(size))) > held:
        raise ScanError(
            f"its header claims more voxels than {data.name} of {held:,} bytes can hold. "
            "Copy or export the scan again."
        )
    axes = np.reshape(reader.GetDirection(), (rank, rank))[:3, :3]
    place = (np.array(reader.GetSpacing()[:3]), axes, np.array(reader.GetOrigin()[:3]))
    geometry, warnings = grid(size, *place)
    return reader, geometry, warnings


def _spare_itk(path: Path) -> None:
    """Refuse what SimpleITK 2.5 would never end on, or end the process by."""
    with regular_file(path) as file:
        head = file.read(TEXT_HEADER)
    if path.suffix.lower() == ".mhd":
        metaimage.axes_count(metaimage.read_fields(head)[0])
    elif path.suffix.lower() == ".hdr":
        nifti.check_pair(head)


def _pair_bytes(header: Path, data: Path, voxels: int) -> int:
    """What an .img file holds at least by its .hdr; ITK fills up with zeros what is missing."""
    if data.suffix.lower() != ".img":
        return 0
    with regular_file(header) as file:
        head = file.read(BITPIX.stop)
    order: Literal["little", "big"] = "little" if head[:2] == PAIR_START else "big"
    return voxels * int.from_bytes(head[BITPIX], order) // 8


def _data_file(path: Path) -> Path:
    """The file beside ``path`` that holds its voxels."""
    with regular_file(path) as file:
        head = file.read(TEXT_HEADER)
    ending = path.suffix.lower()
    if ending == ".hdr":
        wanted = [f"{path.stem}{end}" for end in (".img", ".img.gz", ".IMG", ".IMG.GZ")]
        found = [path.with_name(name) for name in wanted if path.with_name(name).exists()]
        if not found:
            raise ScanError(f"its voxels, {wanted[0]}, are not beside it. Put them there.")
        return found[0]
    named = DATA_FILE[ending].search(head)
    name = named[1].decode("utf-8", "replace") if named else ""
    if name.upper() == "LOCAL" or (not named and ending == ".nhdr"):
        return path
    if not name:
        raise ScanError(f"its header names no file for its voxels. {ADVICE}")
    if Path(name).name != name or "%" in name or name.upper().startswith("LIST"):
        raise ScanError(
            f"its voxels lie in {name[:60]!r}; expected one file in the same folder. {ADVICE}"
        )
    if not (path.parent / name).exists():
        raise ScanError(f"its voxels, {name[:60]}, are not beside it. Put them there.")
    return path.parent / name


def _freesurfer(path: Path) -> Scan:
    from meatus.io.lone_nibabel import nib

    with regular_file(path) as file:
        held = file.seek(0, 2)
        file.seek(0)
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if packed else file
        with _failing("nibabel"):
            image: Any = nib.freesurfer.mghformat.MGHImage.from_stream(stream)
        size = volume_size([int(extent) for extent in image.shape])  # NumPy's would overflow
        if math.prod(size) > DEFLATE_LIMIT * held:
            raise ScanError("its header claims more voxels than the file can hold. Copy it again.")
        affine: Floats = np.asarray(image.affine, dtype=np.float64)
        with np.errstate(all="ignore"):  # grid() refuses what is not finite
            spacing, axes = spacing_and_axes(affine[:3, :3])
            origin = RAS_TO_LPS @ affine[:3, 3]
        geometry, warnings = grid(size, spacing, RAS_TO_LPS @ axes, origin)
        check_extent(geometry)
        with _failing("nibabel"):
            voxels = np.asarray(image.dataobj, dtype=np.float32).reshape(size).transpose(2, 1, 0)
    return Scan(np.ascontiguousarray(voxels), geometry, None, warnings)


@contextmanager
def _failing(library: str) -> Iterator[None]:
    """Quiet, and with one line for whatever a library meets in a damaged file."""
    try:
        with silent_stderr():
            yield
    except (ScanError, MemoryError):
        raise
    except Exception as error:
        raise ScanError(
            f"cannot be read by {library}: damaged, cut short, or of a kind that is not known. "
            f"{ADVICE}"
        ) from error
