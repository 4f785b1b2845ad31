"""Scans in, label maps out; with its neighbours here all that knows file formats."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from meatus.atomic import written_whole
from meatus.errors import OutputError, ScanError
from meatus.geometry import Array, Geometry
from meatus.io import metaimage, nifti, nrrd
from meatus.io.headers import Header
from meatus.io.streams import GZIP, Inflater, read_voxels, regular_file, skip
from meatus.volumes import Labels, Scan

NIFTI = (".nii.gz", ".nii")
SUFFIXES = (*NIFTI, ".mha", ".nrrd")

# Text headers hold a few hundred bytes, at most a patient's whole DICOM header beside.
TEXT_HEADER = 2**20

FEWEST_SLICES = 3
FEWEST_PIXELS = 16  # along each in-plane axis

# Up to this share of voxels that are no numbers, a reconstruction's stray ones, is replaced.
STRAY = 1e-3


def read_scan(path: Path) -> Scan:
    """The volume in ``path`` (.nii.gz, .nii, .mha or .nrrd) as float32, in its own axis order.

    What had to be assumed or repaired is told in the scan's ``warnings``. A volume of zeros is
    read, since label maps may be empty.

    Raises ``ScanError`` where the file is not one three-dimensional grey-value volume.
    """
    with _opened(path) as file:
        header = _header(path, file)
        _check_extent(header.geometry)
        if path.name.endswith(".nii.gz"):
            file.seek(0)
            inflater = Inflater(file)
            skip(inflater, header.offset)
            voxels = read_voxels(file, inflater, header)
        else:
            file.seek(header.offset)
            voxels = read_voxels(file, Inflater(file) if header.deflated else file, header)
        voxels, replaced = _finite(voxels)
    return Scan(voxels, header.geometry, header.block, (*header.warnings, *replaced))


def read_grid(path: Path) -> tuple[Geometry, bytes | None]:
    """Where the voxels of ``path`` lie, from the header alone, and a NIfTI file's header.

    Raises ``ScanError`` where even the header cannot be used.
    """
    with _opened(path) as file:
        header = _header(path, file)
    return header.geometry, header.block


def write_labels(labels: Labels, path: Path) -> None:
    """Write a label map as ``path`` (.nii.gz, .nii, .mha or .nrrd), whole or not at all.

    A NIfTI result of a NIfTI scan keeps the scan's header: sform and qform with their codes,
    units and text; only data type and scaling change.

    Raises ``OutputError`` where the file cannot be written.
    """
    data = label_bytes(labels, path.name)
    with written_whole(path, within=path.parent) as unfinished:  # a missing folder is an error
        unfinished.write_bytes(data)


def label_bytes(labels: Labels, name: str) -> bytes:
    """What a file ``name`` holds; its ending says in which format. ``OutputError`` if none."""
    if name.endswith(NIFTI):
        data = nifti.label_bytes(labels)
        return gzip.compress(data, compresslevel=3, mtime=0) if name.endswith(".gz") else data
    if not name.endswith(SUFFIXES):
        raise OutputError(f"{name}: not a label map's name; expected *{', *'.join(SUFFIXES)}.")
    return metaimage.label_bytes(labels) if name.endswith(".mha") else nrrd.label_bytes(labels)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The scan's file; whatever is wrong with it becomes one line that names it."""
    name = str(path) if str(path).isprintable() else repr(str(path))
    try:
        with regular_file(path) as file:
            yield file
    except ScanError as error:
        raise ScanError(f"{name}: {error}") from error
    except OSError as error:
        link = " that this link points to" if path.is_symlink() else ""
        raise ScanError(
            f"{name}: the file{link} cannot be read ({error.strerror or error}). "
            "See that it is there and that this user may read it."
        ) from error
    except MemoryError as error:
        raise ScanError(f"{name}: does not fit into this machine's memory.") from error


def _header(path: Path, file: BinaryIO) -> Header:
    """What the header says; the file is left at an arbitrary place."""
    if not path.name.endswith(SUFFIXES):
        raise ScanError(f"not a scan's file name; expected *{', *'.join(SUFFIXES)}.")
    with np.errstate(all="ignore"):  # the checks refuse the infinities that headers may hold
        if path.name.endswith(NIFTI):
            return nifti.parse(_nifti_head(path, file))
        head = file.read(TEXT_HEADER)
        return metaimage.parse(head) if path.suffix == ".mha" else nrrd.parse(head)


def _nifti_head(path: Path, file: BinaryIO) -> bytes:
    packed = file.read(len(GZIP)) == GZIP
    if packed != path.name.endswith(".gz"):
        found, wanted = ("", ".nii.gz") if packed else ("not ", ".nii")
        raise ScanError(f"{found}compressed with gzip. If it is a NIfTI file, name it *{wanted}.")
    file.seek(0)
    return (Inflater(file) if packed else file).read(nifti.LONGEST)


def _check_extent(geometry: Geometry) -> None:
    x, y, z = geometry.size
    if sorted((x, y, z))[1] < FEWEST_PIXELS or min(x, y, z) < FEWEST_SLICES:
        raise ScanError(
            f"{x} x {y} x {z} voxels; expected at least {FEWEST_SLICES} slices of "
            f"{FEWEST_PIXELS} x {FEWEST_PIXELS}. Pass the whole hrT2 volume."
        )


def _finite(voxels: Array) -> tuple[Array, tuple[str, ...]]:
    """The voxels with stray ones that are no numbers replaced by the volume's minimum."""
    low, high = float(voxels.min()), float(voxels.max())  # both NaN where any voxel is
    if math.isfinite(low) and math.isfinite(high):
        if low == high != 0:
            raise ScanError(f"every voxel is {low:g}; expected a scan. Export the scan again.")
        return voxels, ()
    good = np.isfinite(voxels)
    bad = voxels.size - int(np.count_nonzero(good))
    if bad > STRAY * voxels.size:
        raise ScanError(
            f"{bad:,} of {voxels.size:,} voxels are no finite numbers; expected at most "
            f"{STRAY:.1%}. Export the scan again."
        )
    kept, _ = _finite(np.where(good, voxels, voxels[good].min()))
    return kept, (f"{bad} voxels that are no finite numbers: the scan's minimum is used",)
