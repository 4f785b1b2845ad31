"""From a scan to what the network sees: orient, crop, normalise, resample in plane."""

from __future__ import annotations

import numpy as np

from meatus.crop import Field, physical_grid, reference_crop
from meatus.errors import ScanError
from meatus.geometry import Array, Geometry, axial, covered, reorient, resample
from meatus.intensity import BLACK, normalise_slices, normalise_volume, usable_slices
from meatus.spec import PhysicalCrop, ReferenceCrop, SliceNormalisation, Spec
from meatus.volumes import Prepared, Scan

# A margin around the physical field, in voxels, so that its border interpolates real voxels.
MARGIN = 2


def prepare(scan: Scan, spec: Spec, field: Field = reference_crop) -> Prepared:
    """The network's input for ``scan``, in the axial frame, as ``spec`` prescribes.

    ``field`` is what a reference crop leaves of each slice: at inference the published rule.
    Slices are never resampled along z, but for slices thinner than a physical crop's
    ``thin_slice_mm``.

    Raises ``ScanError`` where the scan shows nothing.
    """
    geometry = axial(scan.geometry)
    voxels = reorient(scan.voxels, scan.geometry, geometry)
    voxels, geometry = _usable(voxels, geometry, spec, field)
    if isinstance(spec.crop, ReferenceCrop):
        return _on_reference_grid(voxels, geometry, spec, spec.crop, field)
    return _on_physical_grid(voxels, geometry, spec, spec.crop)


def _usable(voxels: Array, geometry: Geometry, spec: Spec, field: Field) -> tuple[Array, Geometry]:
    """Leave out the slices at both ends that show nothing, where the rule is by slice."""
    if not isinstance(spec.normalisation, SliceNormalisation):
        return voxels, geometry
    seen = voxels
    if isinstance(spec.crop, ReferenceCrop):
        rows, columns = field(*voxels.shape[1:])
        seen = voxels[:, rows, columns]
    usable = np.flatnonzero(usable_slices(seen, spec.normalisation))
    if usable.size == 0:
        raise ScanError("every slice is (nearly) constant: nothing to see")
    first, last = int(usable[0]), int(usable[-1])
    kept = geometry.crop((0, 0, first), (*geometry.size[:2], last - first + 1))
    return voxels[first : last + 1], kept


def _normalise(voxels: Array, spec: Spec) -> Array:
    if isinstance(spec.normalisation, SliceNormalisation):
        return normalise_slices(voxels, spec.normalisation)
    return normalise_volume(voxels, spec.normalisation)


def _on_reference_grid(
    voxels: Array, geometry: Geometry, spec: Spec, crop: ReferenceCrop, field: Field
) -> Prepared:
    rows, columns = field(*voxels.shape[1:])
    normal = _normalise(voxels[:, rows, columns], spec)
    size_y, size_x = normal.shape[1:]
    side = max(size_y, size_x)
    before_y, before_x = (side - size_y) // 2, (side - size_x) // 2
    square = np.full((len(normal), side, side), BLACK, dtype=np.float32)
    square[:, before_y : before_y + size_y, before_x : before_x + size_x] = normal
    padded = geometry.crop(
        (columns.start - before_x, rows.start - before_y, 0), (side, side, len(normal))
    )
    # Corners aligned: the first and the last voxel centres of both grids coincide.
    step_x, step_y = ((side - 1) / (count - 1) for count in crop.size)
    grid = padded.regrid((0, 0, 0), (step_x, step_y, 1), (*crop.size, len(normal)))
    return Prepared(resample(square, padded, grid), grid, _cropped(geometry, columns, rows))


def _on_physical_grid(
    voxels: Array, geometry: Geometry, spec: Spec, crop: PhysicalCrop
) -> Prepared:
    grid = physical_grid(voxels, geometry, crop)
    field_x, field_y = (covered(grid, geometry, axis) for axis in (0, 1))
    columns, rows = _widen(field_x, geometry.size[0]), _widen(field_y, geometry.size[1])
    seen = _cropped(geometry, columns, rows)
    normal = _normalise(voxels[:, rows, columns], spec)
    sampled = resample(normal, seen, grid, antialias=True)
    inside_x, inside_y = (covered(seen, grid, axis) for axis in (0, 1))
    result = np.full(grid.shape, BLACK, dtype=np.float32)
    result[:, inside_y, inside_x] = sampled[:, inside_y, inside_x]
    return Prepared(result, grid, _cropped(geometry, field_x, field_y))


def _widen(span: slice, size: int) -> slice:
    return slice(max(0, span.start - MARGIN), min(size, span.stop + MARGIN))


def _cropped(geometry: Geometry, columns: slice, rows: slice) -> Geometry:
    size = (columns.stop - columns.start, rows.stop - rows.start, geometry.size[2])
    return geometry.crop((columns.start, rows.start, 0), size)
