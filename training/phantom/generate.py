"""Whole phantoms: from a seed to a scan and its labels, and to a folder of them."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from inference.geometry import Array, Geometry
from inference.volumes import Labels, Scan
from training.phantom.anatomy import SIDES, head_parts
from training.phantom.appearance import Contrast, Tissue, acquire, draw_contrast, draw_palette
from training.phantom.brain import posterior_fossa
from training.phantom.ear import draw_ear, ear_parts
from training.phantom.render import Pose, draw_pose, render
from training.phantom.shapes import Part, ball
from training.phantom.tumour import tumour_parts

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def make_phantom(seed: int, contrast: Contrast | None = None) -> tuple[Scan, Labels]:
    """A hrT2-like scan and its exact label map; the same for the same ``seed``.

    Without a ``contrast`` three of five scans follow tabulated ones, the others are free.
    """
    rng = np.random.default_rng(seed)
    geometry = draw_geometry(rng)
    pose = draw_pose(rng, geometry)
    parts = draw_parts(rng)
    drawn = draw_contrast(rng)
    palette = draw_palette(rng, contrast or drawn)
    signal, labels = render(pose, parts, palette)
    voxels = acquire(signal, geometry, palette, rng)
    return Scan(spoil(voxels, pose, rng), geometry), Labels(labels, geometry)


def draw_geometry(rng: np.random.Generator) -> Geometry:
    """Grids as in the challenge: 0.35-0.7 mm in-plane, slices mostly 1.0-1.5 mm."""
    field_mm = rng.uniform(165, 225)
    matrix = int(rng.choice([320, 384, 448, 512]))
    while not 0.35 <= field_mm / matrix <= 0.7:
        matrix = int(rng.choice([320, 384, 448, 512]))
    thick = float(rng.choice([1.0, 1.5, rng.uniform(1.0, 1.5)]))
    if rng.uniform() < 0.1:
        thick = rng.uniform(1.5, 3.0)
    slices = int(np.clip(rng.uniform(36, 70) / thick, 24, 60))
    rows = matrix if rng.uniform() < 0.7 else int(matrix * rng.uniform(0.8, 1)) // 2 * 2
    tilt = rng.normal(0, 2, 3) if rng.uniform() < 0.3 else np.zeros(3)
    axes = Rotation.from_euler("xyz", np.clip(tilt, -5, 5), degrees=True).as_matrix()
    spacing = round(field_mm / matrix, 4)
    corner = np.array([-spacing * matrix, -spacing * rows, -thick * slices]) / 2
    x, y, z = (float(v) for v in np.round(corner + rng.normal(0, 8, 3), 2))
    return Geometry(
        (matrix, rows, slices),
        (spacing, spacing, round(thick, 4)),
        (x, y, z),
        tuple(float(v) for v in axes.ravel()),
    )


def draw_parts(rng: np.random.Generator) -> list[Part]:
    """One patient: none, one or, rarely, both ears with a tumour."""
    draw = rng.uniform()
    first = int(rng.integers(2))
    ill = () if draw < 0.12 else SIDES if draw < 0.15 else (SIDES[first],)
    parts = head_parts(rng)
    ears = [draw_ear(rng, side) for side in SIDES]
    for ear in ears:
        parts += ear_parts(rng, ear, weak_fluid=ear.side in ill and rng.uniform() < 0.33)
    for ear in ears:
        if ear.side in ill:
            parts += tumour_parts(rng, ear, posterior_fossa(0.0, 15.0, 0.0, 0.0))
    if rng.uniform() < 0.4:
        parts += _frame(rng)
    return parts


def _frame(rng: np.random.Generator) -> list[Part]:
    """The fiducial rods of a stereotactic frame, as most radiosurgery scans show them."""
    at = [(x, y + rng.normal(0, 2)) for x in (94.0, -94.0) for y in (66, 15, -53)]
    return [ball(Tissue.FRAME, (x, y, 0), (1.4, 1.4, 60)) for x, y in at]


def spoil(voxels: Array, pose: Pose, rng: np.random.Generator) -> Array:
    """Painted-out faces and black borders, (Z, Y, X)."""
    spoilt = voxels.copy()
    spacing = pose.geometry.spacing_mm
    if rng.uniform() < 0.35:
        rows = np.arange(voxels.shape[1]) * spacing[1]
        columns = np.arange(voxels.shape[2]) * spacing[0] - pose.centre_mm[0]
        ahead = pose.centre_mm[1] - rows[:, None] + rng.normal(0, 0.03) * columns[None, :]
        front = rng.uniform(68, 82)
        half = 45 + 0.3 * (ahead - front)
        spoilt[:, (ahead > front) & (np.abs(columns)[None, :] < half)] = 0
    if rng.uniform() < 0.2:
        edge = int(rng.integers(2, 25))
        spoilt[:, :edge] = 0
        spoilt[:, voxels.shape[1] - edge :] = 0
    return spoilt


def write_cohort(folder: Path, count: int, first_seed: int, workers: int = 1) -> None:
    """Write phantoms 1 to ``count`` into ``folder``; those that are there already stay.

    Phantom n has the seed ``first_seed`` + n - 1, whatever the number of workers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = partial(write_phantom, folder, first_seed)
    if workers <= 1:
        for number in range(1, count + 1):
            task(number)
        return
    # Fresh processes: a forked one would inherit torch's threads half-dead.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(task, range(1, count + 1)):
            pass


def write_phantom(folder: Path, first_seed: int, number: int) -> None:
    """Write one phantom's two files, unless both exist."""
    scan_path = folder / f"phantom_{number:04d}_T2.nii.gz"
    label_path = folder / f"phantom_{number:04d}_Label.nii.gz"
    if scan_path.exists() and label_path.exists():
        return
    scan, labels = make_phantom(first_seed + number - 1)
    write_volume(scan.voxels.astype(np.int16), scan.geometry, scan_path)
    write_volume(labels.voxels, labels.geometry, label_path)


def write_volume(voxels: NDArray[np.generic], geometry: Geometry, path: Path) -> None:
    """Write ``voxels`` (Z, Y, X) as NIfTI, all at once or not at all."""
    affine = np.eye(4)
    affine[:3, :3] = geometry.axes * np.array(geometry.spacing_mm)
    affine[:3, 3] = geometry.origin_mm
    image = nib.nifti1.Nifti1Image(voxels.transpose(2, 1, 0), LPS_TO_RAS @ affine)
    image.set_qform(image.affine, code=1)
    # A fixed time stamp makes equal volumes equal files.
    packed = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(packed)
    unfinished.replace(path)
