"""Scans in, label maps out; with its neighbours here all that knows file formats."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from meatus.atomic import written_whole
from meatus.errors import OutputError, ScanError, printable
from meatus.geometry import Geometry
from meatus.io import metaimage, nifti, nrrd
from meatus.io.checks import check_extent, finite
from meatus.io.headers import Header
from meatus.io.other_formats import OTHER_SUFFIXES, read_other, read_other_grid
from meatus.io.streams import GZIP, Inflater, read_voxels, regular_file, skip
from meatus.volumes import Labels, Scan

NIFTI = (".nii.gz", ".nii")
SUFFIXES = (*NIFTI, ".mha", ".nrrd")  # read and written
SCAN_SUFFIXES = (*SUFFIXES, *OTHER_SUFFIXES)  # read

# What may hold the voxels of a detached header of the same name.
VOXELS_BESIDE = (".img", ".img.gz", ".raw", ".raw.gz", ".zraw")

# Text headers hold a few hundred bytes, at most a patient's whole DICOM header beside.
TEXT_HEADER = 2**20

MOST_SHOWN = 5  # of a label map's unknown numbers


def scan_ending(name: str, among: tuple[str, ...] = SCAN_SUFFIXES) -> str:
    """The ending that makes ``name`` a scan's, as it stands there, in any case; "" if none."""
    ending = next((suffix for suffix in among if name.lower().endswith(suffix)), "")
    return name[len(name) - len(ending) :]


def not_read(files: Iterable[Path], among: tuple[str, ...] = SCAN_SUFFIXES) -> list[Path]:
    """Those of ``files`` that are no scans by their names, nor the voxels of one beside them."""
    named = [(file, scan_ending(file.name, among)) for file in files]
    read = {file.with_name(file.name.removesuffix(ending)) for file, ending in named if ending}
    return [
        file
        for file, ending in named
        if not ending
        and not file.name.startswith(".")
        and file.with_name(file.name.removesuffix(scan_ending(file.name, VOXELS_BESIDE)))
        not in read
    ]


def read_scan(path: Path) -> Scan:
    """The volume in ``path`` (``SCAN_SUFFIXES``) as float32 (Z, Y, X), in its own axis order.

    What had to be assumed or repaired is told in the scan's ``warnings``. A volume of zeros is
    read, since label maps may be empty.

    Raises ``ScanError`` where the file is not one three-dimensional grey-value volume.
    """
    with _faults_of(path):
        scan = _volume(path)
        voxels, replaced = finite(scan.voxels)
    return replace(scan, voxels=voxels, warnings=(*scan.warnings, *replaced))


def read_label_map(
    path: Path, meanings: Mapping[int, str], advice: str = "Pass a label map of these classes."
) -> Labels:
    """The label map in ``path``, whose numbers have these ``meanings``.

    Nothing is repaired here as in a scan: what is no known class, NaN too, may have been one.

    Raises ``ScanError`` where the file cannot be read, or holds anything else.
    """
    with _faults_of(path):
        scan = _volume(path)
        unknown = ~np.isin(scan.voxels, list(meanings))
        if unknown.any():
            values = np.unique(scan.voxels[unknown])
            shown = ", ".join(f"{value:g}" for value in values[:MOST_SHOWN].tolist())
            more = ", ..." if values.size > MOST_SHOWN else ""
            whole = bool((values == np.rint(values)).all())
            known = ", ".join(f"{number} {meaning}" for number, meaning in meanings.items())
            raise ScanError(
                f"holds {shown}{more} in {np.count_nonzero(unknown):,} of {unknown.size:,} voxels; "
                f"expected {known}. " + (advice if whole else "Was it interpolated?")
            )
    return Labels(scan.voxels.astype(np.uint8), scan.geometry, scan.header)


def _volume(path: Path) -> Scan:
    """What is in ``path`` as it stands there. Raises ``ScanError``, which does not name it."""
    name = path.name.lower()
    if name.endswith(OTHER_SUFFIXES):
        return read_other(path)
    with regular_file(path) as file:
        header = _header(name, file)
        check_extent(header.geometry)
        if name.endswith(".nii.gz"):
            file.seek(0)
            inflater = Inflater(file)
            skip(inflater, header.offset)
            voxels = read_voxels(file, inflater, header)
        else:
            file.seek(header.offset)
            voxels = read_voxels(file, Inflater(file) if header.deflated else file, header)
    return Scan(voxels, header.geometry, header.block, header.warnings)


def read_grid(path: Path) -> tuple[Geometry, bytes | None]:
    """Where the voxels of ``path`` lie, from the header alone, and a NIfTI file's header.

    Raises ``ScanError`` where even the header cannot be used.
    """
    with _faults_of(path):
        if path.name.lower().endswith(OTHER_SUFFIXES):
            return read_other_grid(path), None
        with regular_file(path) as file:
            header = _header(path.name.lower(), file)
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


def label_bytes(labels: Labels, name: str, *, named: bool = False) -> bytes:
    """What a file ``name`` holds; its ending says in which format. ``OutputError`` if none.

    An NRRD file always tells its labels' names, a NIfTI file where it is to be ``named``.
    """
    if name.endswith(NIFTI):
        data = nifti.label_bytes(labels, named=named)
        return gzip.compress(data, compresslevel=3, mtime=0) if name.endswith(".gz") else data
    if not name.endswith(SUFFIXES):
        raise OutputError(f"{name}: not a label map's name; expected *{', *'.join(SUFFIXES)}.")
    return metaimage.label_bytes(labels) if name.endswith(".mha") else nrrd.label_bytes(labels)


def write_maps(maps: Iterable[NDArray[np.float32]], count: int, like: Labels, file: Path) -> None:
    """Write ``count`` maps (Z, Y, X) on the grid of ``like`` as one NIfTI file, compressed.

    One of them is in memory at a time. Raises ``OSError``.
    """
    with (
        file.open("wb") as packed,
        gzip.GzipFile("", "wb", compresslevel=3, fileobj=packed, mtime=0) as out,
    ):
        out.write(nifti.maps_head(like, count))
        for voxels in maps:
            out.write(np.ascontiguousarray(voxels, dtype="<f4").data)


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Whatever is wrong with the scan's file becomes one line that names it."""
    name = str(path) if str(path).isprintable() else repr(str(path))
    try:
        yield
    except ScanError as error:
        raise ScanError(f"{name}: {printable(str(error))}") from error
    except OSError as error:
        link = " that this link points to" if path.is_symlink() else ""
        raise ScanError(
            f"{name}: the file{link} cannot be read ({error.strerror or error}). "
            "See that it is there and that this user may read it."
        ) from error
    except MemoryError as error:
        raise ScanError(f"{name}: does not fit into this machine's memory.") from error


def _header(name: str, file: BinaryIO) -> Header:
    """What the header says, by the file's ``name`` in lower case; leaves it at any place."""
    if not name.endswith(SUFFIXES):
        raise ScanError(f"not a scan's file name; expected *{', *'.join(SCAN_SUFFIXES)}.")
    with np.errstate(all="ignore"):  # the checks refuse the infinities that headers may hold
        if name.endswith(NIFTI):
            return nifti.parse(_nifti_head(name, file))
        head = file.read(TEXT_HEADER)
        return metaimage.parse(head) if name.endswith(".mha") else nrrd.parse(head)


def _nifti_head(name: str, file: BinaryIO) -> bytes:
    packed = file.read(len(GZIP)) == GZIP
    if packed != name.endswith(".gz"):
        found, wanted = ("", ".nii.gz") if packed else ("not ", ".nii")
        raise ScanError(f"{found}compressed with gzip. If it is a NIfTI file, name it *{wanted}.")
    file.seek(0)
    return (Inflater(file) if packed else file).read(nifti.LONGEST)
