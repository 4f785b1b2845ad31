"""Scans in, label maps out; the only module that knows file formats."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from inference.errors import OutputError, ScanError
from inference.geometry import Geometry
from inference.volumes import Labels, Scan

NIFTI = (".nii.gz", ".nii")
ITK = (".mha", ".nrrd")
SUFFIXES = NIFTI + ITK

UNFINISHED = ".*.part.*"  # a result that is being written, or was when its process was killed

# Headers store directions in single precision; axes that meet at right angles to within this
# cosine are taken as orthogonal. The file's own header is kept for the result either way.
ORTHOGONAL = 1e-2

# NIfTI is RAS+, the pipeline LPS+.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

FEWEST_SLICES = 3
FEWEST_PIXELS = 16  # along each in-plane axis


def read_scan(path: Path) -> Scan:
    """The volume in ``path`` (.nii.gz, .nii, .mha or .nrrd) as float32, in its own axis order.

    Raises ``ScanError`` where the file is not one three-dimensional grey-value volume.
    """
    with _readable(path):
        scan = _read_nifti(path) if path.name.endswith(NIFTI) else _read_itk(path)
    x, y, z = scan.geometry.size
    if sorted((x, y, z))[1] < FEWEST_PIXELS or min(x, y, z) < FEWEST_SLICES:
        raise ScanError(
            f"{path} has {x} x {y} x {z} voxels; expected at least {FEWEST_SLICES} slices of "
            f"{FEWEST_PIXELS} x {FEWEST_PIXELS}. Pass the whole hrT2 volume."
        )
    if not np.isfinite(scan.voxels).all():
        raise ScanError(f"{path} holds voxels that are not numbers. Export the scan again.")
    return scan


def read_grid(path: Path) -> tuple[Geometry, bytes | None]:
    """Where the voxels of ``path`` lie, from the header alone, and a NIfTI file's header.

    Raises ``ScanError`` where even the header cannot be used.
    """
    with _readable(path):
        if path.name.endswith(NIFTI):
            image = _open_nifti(path)
            return _nifti_geometry(path, image), image.header.binaryblock
        reader = sitk.ImageFileReader()
        reader.SetFileName(path)
        reader.ReadImageInformation()
        return _itk_geometry(path, reader, reader.GetNumberOfComponents()), None


def write_labels(labels: Labels, path: Path) -> None:
    """Write a label map as ``path`` (.nii.gz, .nii, .mha or .nrrd), whole or not at all.

    A NIfTI result of a NIfTI scan keeps the scan's header: sform and qform with their codes,
    units and text; only data type and scaling change.

    Raises ``OutputError`` where the file cannot be written.
    """
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        if path.name.endswith(NIFTI):
            part.write_bytes(_nifti_bytes(labels, compress=path.name.endswith(".gz")))
        else:
            sitk.WriteImage(_itk_image(labels), part, useCompression=True)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[-1]
        raise OutputError(f"{path}: cannot be written ({reason}).") from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the format libraries raise on a bad file into one line."""
    try:
        yield
    except (ImageFileError, HeaderDataError, EOFError, zlib.error, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ScanError(f"{path}: cannot be read as an image ({reason}).") from error
    except RuntimeError as error:  # SimpleITK's; its text spans lines and names C++ files
        raise ScanError(f"{path}: cannot be read as an image.") from error


def _open_nifti(path: Path) -> nib.Nifti1Image:
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise ScanError(f"{path} is a {type(image).__name__}, not NIfTI. Convert it to .nii.gz.")
    if image.header.get_data_dtype().fields is not None:
        raise ScanError(f"{path} holds colours; expected one grey value per voxel.")
    if len(image.shape) < 3 or any(extent != 1 for extent in image.shape[3:]):
        raise ScanError(
            f"{path} has shape {image.shape}; expected three axes. "
            "Save the hrT2 volume as a file of its own and pass that."
        )
    return image


def _read_nifti(path: Path) -> Scan:
    image = _open_nifti(path)
    geometry = _nifti_geometry(path, image)
    voxels = np.asanyarray(image.dataobj).reshape(geometry.size).T
    header = image.header.binaryblock
    return Scan(np.ascontiguousarray(voxels, dtype=np.float32), geometry, header)


def _nifti_geometry(path: Path, image: nib.Nifti1Image) -> Geometry:
    x, y, z = image.shape[:3]
    return _geometry(path, (x, y, z), RAS_TO_LPS @ image.affine)


def _read_itk(path: Path) -> Scan:
    image = sitk.ReadImage(path)
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    geometry = _itk_geometry(path, image, image.GetNumberOfComponentsPerPixel())
    return Scan(sitk.GetArrayFromImage(image).astype(np.float32, copy=False), geometry)


def _itk_geometry(path: Path, image: sitk.Image | sitk.ImageFileReader, values: int) -> Geometry:
    axes = image.GetDimension()
    if axes != 3 or values != 1:
        raise ScanError(
            f"{path} has {axes} axes and {values} values per voxel; "
            "expected one grey-value volume of three axes."
        )
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return _geometry(path, image.GetSize(), affine)


def _geometry(path: Path, size: tuple[int, int, int], affine: NDArray[np.float64]) -> Geometry:
    """The grid of an index-to-patient matrix (4, 4), LPS+; its axes made exactly orthogonal."""
    steps = affine[:3, :3]
    spacing = np.linalg.norm(steps, axis=0)
    if not np.isfinite(affine).all() or (spacing <= 0).any():
        raise ScanError(
            f"{path} states a voxel size of {spacing.tolist()} mm; it must be positive."
        )
    axes = steps / spacing
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if skew > ORTHOGONAL:
        raise ScanError(
            f"{path}: its axes are not at right angles (cosine {skew:.3f}, at most {ORTHOGONAL}). "
            "Resample the scan to an orthogonal grid."
        )
    left, _, right = np.linalg.svd(axes)  # the nearest orthogonal matrix
    x, y, z = (float(value) for value in affine[:3, 3])
    return Geometry(
        size=size,
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin_mm=(x, y, z),
        direction=tuple(float(value) for value in (left @ right).ravel()),
    )


def _nifti_bytes(labels: Labels, *, compress: bool) -> bytes:
    header = _own_header(labels) if labels.header is None else _kept_header(labels.header)
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    # Without an affine, nibabel leaves the header's two forms and their codes as they are.
    image = nib.Nifti1Image if header["sizeof_hdr"] == 348 else nib.Nifti2Image
    data = image(labels.voxels.T, None, header).to_bytes()
    return gzip.compress(data, compresslevel=3, mtime=0) if compress else data


def _kept_header(block: bytes) -> nib.Nifti1Header:
    kind = nib.Nifti1Header if len(block) == 348 else nib.Nifti2Header
    return kind(block, check=False).as_byteswapped("<")


def _own_header(labels: Labels) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    affine = np.eye(4)
    affine[:3, :3] = labels.geometry.axes * np.array(labels.geometry.spacing_mm)
    affine[:3, 3] = labels.geometry.origin_mm
    header.set_data_shape(labels.geometry.size)
    header.set_xyzt_units("mm")
    header.set_sform(RAS_TO_LPS @ affine, code="scanner")
    header.set_qform(RAS_TO_LPS @ affine, code="scanner")
    return header


def _itk_image(labels: Labels) -> sitk.Image:
    image = sitk.GetImageFromArray(labels.voxels)
    image.SetSpacing(labels.geometry.spacing_mm)
    image.SetOrigin(labels.geometry.origin_mm)
    image.SetDirection(labels.geometry.direction)
    return image
