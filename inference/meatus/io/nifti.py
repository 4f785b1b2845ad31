"""NIfTI-1 and -2 in single files: headers to grids, label maps to bytes.

Headers are taken apart with nibabel; its own reader is not used, since it repairs silently,
logs on stderr and maps files into memory, where a file cut meanwhile kills the process.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from meatus.errors import ScanError
from meatus.geometry import Geometry
from meatus.io.headers import Floats, Header, grid, spacing_and_axes, volume_size
from meatus.io.label_names import caret_extension
from meatus.io.lone_nibabel import nib, quat2mat
from meatus.volumes import Labels

# NIfTI is RAS+, the pipeline LPS+.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])

Place = tuple[Floats, Floats, Floats]  # spacing (3,), axes (3, 3) in columns, origin (3,); LPS+

SIZES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
LONGEST = max(SIZES)
# A file begins with its header's length, which also tells its byte order.
MARKS = {struct.pack(f"{order}i", length): (length, order) for length in SIZES for order in "<>"}
FIRST_VOXEL = {348: 352, 540: 544}  # after the header and the four bytes that name extensions
MAGIC = {348: b"n+1", 540: b"n+2"}

# Extensions hold a few kilobytes of text, at most a copy of the DICOM header.
MOST_EXTENSION_BYTES = 2**26

# Data types of one real number, by their NIfTI codes; wider ones no scanner writes.
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
         1024: "i8", 1280: "u8"}  # fmt: skip
NOT_GREY = {1: "single bits", 32: "complex numbers", 128: "colours", 1536: "128-bit numbers",
            1792: "complex numbers", 2048: "complex numbers", 2304: "colours"}  # fmt: skip

# How many millimetres the units of ``xyzt_units`` have, in its lowest three bits.
UNITS = {1: ("metres", 1e3), 2: ("millimetres", 1.0), 3: ("micrometres", 1e-3)}
SPATIAL_UNITS = 0b111

# The intent of a label map, which viewers then show with colours and without interpolation.
LABELS = 1002
INTENT_NUMBERS = ("intent_p1", "intent_p2", "intent_p3")
# Which slice was read when: of a scan, and of series of them.
OF_FRAMES = ("slice_start", "slice_end", "slice_code", "slice_duration", "toffset")

# What places a volume, and more than which no unit of length makes of a head in a scanner.
PLACE = ("pixdim", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
         "srow_x", "srow_y", "srow_z")  # fmt: skip
LARGEST_PLACE = 1e9

# Two placements that differ by less put no voxel a whole voxel away from where it was.
FORMS_AGREE_MM = 0.3


def parse(head: bytes) -> Header:
    """What the first ``LONGEST`` bytes of a NIfTI file (inflated) say about its voxels.

    Raises ``ScanError`` where they are no NIfTI header, or not that of one grey-value volume.
    """
    header = _fields(head)
    rank = int(header["dim"][0])
    if not 1 <= rank <= 7:
        raise ScanError(f"its header claims {rank} axes; expected three. Export the scan again.")
    size = volume_size([int(extent) for extent in header["dim"][1 : rank + 1]])
    dtype, odd_bits = _dtype(header)
    geometry, odd_place = _place_in_its_unit(header, size)
    slope, intercept, odd_scale = _scaling(header)
    warnings = (*odd_bits, *odd_place, *odd_scale)
    offset, block = _offset(header), header.binaryblock
    return Header(geometry, dtype, offset, False, slope, intercept, block, warnings)


def check_pair(head: bytes) -> None:
    """Raises ``ScanError`` where an .hdr file of NIfTI states a place that is no number.

    An Analyze header has text there, and is passed over.
    """
    length, order = MARKS.get(head[:4], (0, "<"))
    if not length or len(head) < length:
        return
    header = SIZES[length](head[:length], endianness=order, check=False)
    if bytes(header["magic"].item())[:3] not in (b"ni1", b"ni2"):
        return
    place = np.concatenate([np.atleast_1d(header[name])[:4] for name in PLACE])
    with np.errstate(invalid="ignore"):
        sound = (np.abs(place.astype(np.float64)) <= LARGEST_PLACE).all()
    if not sound:
        raise ScanError(
            "its header places voxels at what is no number. Correct the header or export the "
            "scan again."
        )


def _fields(head: bytes) -> nib.Nifti1Header:
    if head[:4] not in MARKS:
        raise ScanError("not a NIfTI file. Convert the scan to .nii.gz.")
    length, order = MARKS[head[:4]]
    if len(head) < length:
        raise ScanError(f"{len(head)} bytes; a NIfTI header has {length}. Export the scan again.")
    header = SIZES[length](head[:length], endianness=order, check=False)
    magic = bytes(header["magic"].item())
    if magic in (b"ni1", b"ni2"):
        raise ScanError("a header whose voxels lie in another file. Convert the scan to .nii.gz.")
    if magic != MAGIC[length]:
        raise ScanError("its header lacks the mark of NIfTI. Convert the scan to .nii.gz.")
    return header


def _dtype(header: nib.Nifti1Header) -> tuple[np.dtype[np.generic], tuple[str, ...]]:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in TYPES:
        found = NOT_GREY.get(code, f"voxels of the unknown type {code}")
        raise ScanError(f"{found}; expected one grey value per voxel. Export the scan in grey.")
    dtype = np.dtype(header.endianness + TYPES[code])
    if bits == 8 * dtype.itemsize:
        return dtype, ()
    return dtype, (f"header states {bits} bits per voxel of type {dtype.name}; the type is used",)


def _offset(header: nib.Nifti1Header) -> int:
    stated, first = float(header["vox_offset"]), FIRST_VOXEL[int(header["sizeof_hdr"])]
    if stated == 0:  # left out by some writers
        return first
    if not first <= stated <= MOST_EXTENSION_BYTES:
        raise ScanError(
            f"its header puts the first voxel at byte {stated:g}; expected {first} to "
            f"{MOST_EXTENSION_BYTES}. Export the scan again."
        )
    return int(stated)


def _scaling(header: nib.Nifti1Header) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):  # how NIfTI and nibabel say that nothing is scaled
        return 1.0, 0.0, ()
    if math.isfinite(slope) and math.isfinite(intercept):
        return slope, intercept, ()
    return 1.0, 0.0, (f"scaling by {slope:g} and {intercept:g} is left out: not finite",)


def _place_in_its_unit(
    header: nib.Nifti1Header, size: tuple[int, int, int]
) -> tuple[Geometry, tuple[str, ...]]:
    """The grid in millimetres, whatever unit the header states.

    A unit in which no head can be scanned was set by mistake where millimetres give one.
    """
    unit, millimetres = UNITS.get(int(header["xyzt_units"]) & SPATIAL_UNITS, UNITS[2])
    if millimetres == 1.0:
        return _place(header, size, 1.0)
    try:
        return _place(header, size, millimetres)
    except ScanError as error:
        try:
            geometry, warnings = _place(header, size, 1.0)
        except ScanError:
            raise error from None
        return geometry, (f"header states {unit}, no head's size: taken as millimetres", *warnings)


def _place(
    header: nib.Nifti1Header, size: tuple[int, int, int], unit_mm: float
) -> tuple[Geometry, tuple[str, ...]]:
    """The grid by sform, else by qform, else by voxel sizes alone, as nibabel chooses."""
    forms = {
        name: (spacing * unit_mm, axes, origin * unit_mm)
        for name, (spacing, axes, origin) in _forms(header).items()
    }
    if not forms:
        spacing, axes, origin = _centred(header, size)
        geometry, repaired = grid(size, spacing * unit_mm, axes, origin * unit_mm)
        words = "neither sform nor qform is set: axes taken as left, anterior, superior"
        return geometry, (words, *repaired)
    sound, refused = {}, {}
    for name, place in forms.items():
        try:
            sound[name] = grid(size, *place)
        except ScanError as error:
            refused[name] = error
    if not sound:
        name, reason = next(iter(refused.items()))
        raise ScanError(f"its {name} states {reason}") from reason
    used, (geometry, repaired) = next(iter(sound.items()))
    if refused:
        return geometry, (f"{next(iter(refused))} cannot be used: {used} is used", *repaired)
    apart = max(_apart_mm(geometry, other) for other, _ in sound.values())
    if apart <= FORMS_AGREE_MM:
        return geometry, (*_other_widths(header, geometry, unit_mm), *repaired)
    words = f"sform and qform place voxels up to {apart:.1f} mm apart: {used} is used, both kept"
    return geometry, (words, *repaired)


def _other_widths(header: nib.Nifti1Header, geometry: Geometry, unit_mm: float) -> tuple[str, ...]:
    """A line where voxel sizes are stated that are not those of the form that is used."""
    stated = header["pixdim"][1:4].astype(np.float64) * unit_mm
    used = np.array(geometry.spacing_mm)
    off = np.abs(stated - used) * np.array(geometry.size)
    if not (np.isfinite(stated).all() and (stated > 0).all()) or off.max() <= FORMS_AGREE_MM:
        return ()  # sizes that are left out, as 0, state nothing
    told = (" x ".join(f"{width:.4g}" for width in widths) for widths in (stated, used))
    return ("voxel sizes are stated as {} mm, the sform has {} mm: it is used".format(*told),)


def _forms(header: nib.Nifti1Header) -> dict[str, Place]:
    """What the header's declared forms state, usable or not."""
    forms = {}
    if header["sform_code"] > 0:
        affine = header.get_sform().astype(np.float64)
        spacing, axes = spacing_and_axes(affine[:3, :3])
        forms["sform"] = spacing, RAS_TO_LPS @ axes, RAS_TO_LPS @ affine[:3, 3]
    if header["qform_code"] > 0:
        origin = np.array([header[f"qoffset_{axis}"] for axis in "xyz"], dtype=np.float64)
        spacing = header["pixdim"][1:4].astype(np.float64)
        forms["qform"] = spacing, RAS_TO_LPS @ _turned(header), RAS_TO_LPS @ origin
    return forms


def _turned(header: nib.Nifti1Header) -> Floats:
    """The qform's axes (3, 3), RAS+."""
    try:
        axes = np.array(quat2mat(header.get_qform_quaternion()), dtype=np.float64)
    except ValueError:  # a quaternion longer than one
        return np.full((3, 3), np.nan)
    # By the standard, what is not -1 counts as 1.
    return axes * (1, 1, -1 if header["pixdim"][0] == -1 else 1)


def _centred(header: nib.Nifti1Header, size: tuple[int, int, int]) -> Place:
    """What nibabel assumes of a file without forms: the patient's centre in the grid's."""
    spacing = header["pixdim"][1:4].astype(np.float64)
    axes = RAS_TO_LPS @ np.diag([-1.0, 1.0, 1.0])
    return spacing, axes, -axes @ (spacing * (np.array(size) - 1) / 2)


def _apart_mm(one: Geometry, other: Geometry) -> float:
    """The farthest that two grids of one size put a corner voxel from each other."""
    last_x, last_y, last_z = (extent - 1 for extent in one.size)
    corners = [(x, y, z) for x in (0, last_x) for y in (0, last_y) for z in (0, last_z)]
    return max(math.dist(one.position_mm(at), other.position_mm(at)) for at in corners)


def label_bytes(labels: Labels, *, named: bool = False) -> bytes:
    """A label map as a NIfTI file, under the scan's own header where there is one.

    That header's forms and their codes, units and text stay as they are. What says how its numbers
    are to be understood does not: a label map is no scan, and no vectors, whatever the scan was.
    With its labels' names in an extension where it is to be ``named``.
    """
    header = _result_header(labels)
    header["datatype"], header["bitpix"] = 2, 8
    length = int(header["sizeof_hdr"])
    gap = caret_extension() if named else bytes(FIRST_VOXEL[length] - length)
    header["vox_offset"] = length + len(gap)
    return bytes(header.binaryblock) + gap + labels.voxels.astype(np.uint8, copy=False).tobytes()


def maps_head(labels: Labels, count: int) -> bytes:
    """What stands before the voxels of ``count`` maps of float32, the fourth axis of a NIfTI file.

    The maps lie on the grid of ``labels``.
    """
    header = _result_header(labels)
    header["dim"][0], header["dim"][4], header["pixdim"][4] = 4, count, 1
    header["datatype"], header["bitpix"] = 16, 32
    header["intent_code"] = 0  # probabilities, no labels
    length = int(header["sizeof_hdr"])
    return bytes(header.binaryblock) + bytes(FIRST_VOXEL[length] - length)


def _result_header(labels: Labels) -> nib.Nifti1Header:
    """Of the scan, or a new one; what it says of the scan's voxels is taken out."""
    header = _own_header(labels) if labels.header is None else _fields(labels.header)
    header = header.as_byteswapped("<")
    length = int(header["sizeof_hdr"])
    header["dim"] = (3, *labels.geometry.size, 1, 1, 1, 1)
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["cal_max"] = header["cal_min"] = 0
    header["intent_code"], header["intent_name"] = LABELS, b""
    for field in (*INTENT_NUMBERS, *OF_FRAMES):
        header[field] = 0
    header["magic"], header["vox_offset"] = MAGIC[length], FIRST_VOXEL[length]
    return header


def _own_header(labels: Labels) -> nib.Nifti1Header:
    header = nib.Nifti1Header()
    affine = np.eye(4)
    affine[:3, :3] = RAS_TO_LPS @ (labels.geometry.axes * np.array(labels.geometry.spacing_mm))
    affine[:3, 3] = RAS_TO_LPS @ np.array(labels.geometry.origin_mm)
    header.set_data_shape(labels.geometry.size)
    header.set_xyzt_units("mm")
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    return header
