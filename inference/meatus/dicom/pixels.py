"""The grey values of one file: by SimpleITK (GDCM), by pydicom's decoders where that cannot."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from meatus.dicom.entries import Entry
from meatus.dicom.headers import Plane
from meatus.errors import ScanError, printable
from meatus.geometry import Array
from meatus.io.stderr import quiet


def read_planes(
    entry: Entry, planes: list[Plane], scratch: Path | None, *, inverted: bool = False
) -> Array:
    """The images ``planes`` of ``entry`` as (n, Y, X) float32, rescaled; n as ``planes`` are.

    Of ``inverted`` ones (MONOCHROME1) the sign is turned, up to a constant. Archives are unpacked
    into ``scratch``. Raises ``ScanError`` where they cannot be decoded.
    """
    columns, rows = planes[0].size
    shape = (planes[0].frames, rows, columns)
    try:
        with entry.on_disk(scratch) as file:
            stored = None if _scaled_apart(planes) else _by_gdcm(file, shape)
            if stored is None:
                stored = _by_pydicom(file, shape, planes)
                stored = -stored if inverted else stored  # GDCM does it itself
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ScanError(f"{entry}: cannot be read ({reason}).") from error
    except ScanError as error:
        raise ScanError(f"{entry}: {error}") from error
    return stored[[plane.frame for plane in planes]]


def _scaled_apart(planes: list[Plane]) -> bool:
    """Whether frames of one file have scales of their own, which GDCM does not apply."""
    return len({(plane.slope, plane.intercept) for plane in planes}) > 1


def _by_gdcm(file: Path, shape: tuple[int, int, int]) -> Array | None:
    """None where GDCM cannot decode the file, or gives something else than its header says."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    try:
        with quiet():
            image = reader.Execute()
    except RuntimeError:
        return None
    if image.GetNumberOfComponentsPerPixel() != 1:
        return None
    voxels = np.asarray(sitk.GetArrayFromImage(image), dtype=np.float32)
    return voxels.reshape(shape) if voxels.size == math.prod(shape) else None


def _by_pydicom(file: Path, shape: tuple[int, int, int], planes: list[Plane]) -> Array:
    try:
        with quiet():
            dataset = pydicom.dcmread(file, force=True)
            stored = np.asarray(dataset.pixel_array, dtype=np.float32)
    except Exception as error:  # every decoder has errors of its own
        raise ScanError(
            f"its pixels cannot be decoded (transfer syntax {_syntax(file)}): damaged, cut short, "
            "or compressed in a way that is not known here. Export the series uncompressed."
        ) from error
    if stored.size != math.prod(shape):
        raise ScanError(f"{stored.size:,} pixel values; its header promises {math.prod(shape):,}.")
    stored = stored.reshape(shape)
    for plane in planes:
        stored[plane.frame] = stored[plane.frame] * plane.slope + plane.intercept
    return stored


def _syntax(file: Path) -> str:
    """The name of the file's transfer syntax, as far as it states one."""
    try:
        with quiet():
            stated = pydicom.dcmread(file, stop_before_pixels=True, force=True).file_meta
            return printable(str(getattr(stated.get("TransferSyntaxUID"), "name", "not stated")))
    except Exception:  # the header may be as damaged as the pixels
        return "not stated"
