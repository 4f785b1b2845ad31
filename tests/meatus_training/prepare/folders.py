"""Folders of small scans: a bright block of a head with a tumour and two cochleae."""

import json

import numpy as np

from meatus.geometry import Geometry
from meatus.spec import PhysicalCrop
from meatus_phantom.cohort.files import volume_bytes
from meatus_training.prepare.settings import PrepareSettings

GRID = Geometry((40, 40, 6), (4.0, 4.0, 4.0), (-78.0, -78.0, 0.0))
SMALL = PrepareSettings(PhysicalCrop(size=(32, 32), spacing_mm=4.0))
THREE = {1: (20, 26), 2: (20, 28), 3: (20, 30)}
TWO = {1: (20, 26), 2: (20, 30)}


def head(grid=GRID, seed=0):
    """(Z, Y, X) int16: air, a head that ends a few voxels before the border, some structure."""
    voxels = np.random.default_rng(seed).integers(1, 20, grid.shape).astype(np.int16)
    voxels[:, 4:-4, 4:-4] += 500
    voxels[:, grid.size[1] // 2 :, 8:-8] += 300
    return voxels


def labels(numbers=THREE, grid=GRID):
    """(Z, Y, X): a block of each number about its (y, x), in all slices but the outer ones."""
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for number, (y, x) in numbers.items():
        voxels[1:-1, y - 1 : y + 1, x - 1 : x + 1] = number
    return voxels


def write(path, voxels, grid=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(volume_bytes(voxels, grid))
    return path


def touch(folder, *names):
    """Empty files, for what only looks at names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


SOURCE = "crossmoda23_training/TrainingSource/crossmoda2023_"
TARGET = "crossmoda23_training/TrainingTarget/crossmoda2023_"
VALIDATION = "crossmoda23_validation/crossmoda2023_"


def write_challenge(folder):
    """Two labelled ceT1 scans, two hrT2 scans and one to validate on, of 2023."""
    for number, site in enumerate(("ldn", "etz")):
        write(folder / f"{SOURCE}{site}_1_ceT1.nii.gz", head(seed=number))
        write(folder / f"{SOURCE}{site}_1_Label.nii.gz", labels())
        write(folder / f"{TARGET}{site}_2_T2.nii.gz", head(seed=10 + number))
    write(folder / f"{VALIDATION}ukm_3_T2.nii.gz", head(seed=20))
    return folder


def describe(folder, channels, parts, **others):
    """A data set's dataset.json, of nnU-Net 2."""
    told = {"channel_names": channels, "labels": parts, "file_ending": ".nii.gz", **others}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder
