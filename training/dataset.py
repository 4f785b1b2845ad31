"""Training samples, prepared by the pipeline's own preprocessing."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Array, axial, covered, reorient, resample
from inference.images import read_scan
from inference.intensity import BLACK
from inference.preprocess import prepare
from inference.spec import Spec
from inference.structures import Structure
from inference.volumes import Scan
from training.errors import TrainingError


@dataclass(frozen=True)
class Sample:
    """One prepared scan with its labels on the same grid."""

    voxels: NDArray[np.float16]  # (Z, Y, X) in [-1, 1]
    labels: NDArray[np.uint8]  # (Z, Y, X)


def load_samples(folder: Path, labels: Path, cache: Path, spec: Spec, workers: int) -> list[Sample]:
    """Every ``<case>_T2.nii.gz`` of ``folder`` with its ``<case>_Label.nii.gz`` of ``labels``.

    The prepared arrays are kept in ``cache``. Raises ``TrainingError`` where there is no scan
    or a label is missing.
    """
    scans = sorted(folder.glob("*_T2.nii.gz"))
    if not scans:
        raise TrainingError(f"{folder} holds no *_T2.nii.gz; generate a cohort first.")
    cases = [scan.name.removesuffix("_T2.nii.gz") for scan in scans]
    truths = [labels / f"{case}_Label.nii.gz" for case in cases]
    cache.mkdir(parents=True, exist_ok=True)
    files = [cache / f"{case}.npz" for case in cases]
    wanted = zip(truths, files, strict=True)
    missing = [truth.name for truth, file in wanted if not truth.exists() and not file.exists()]
    if missing:
        raise TrainingError(f"{labels} lacks {', '.join(missing)}; name the folder of the labels.")
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_prepare_file, scans, truths, files, [spec] * len(scans)))
    return [_read(file) for file in files]


def _prepare_file(scan_file: Path, label_file: Path, file: Path, spec: Spec) -> None:
    if file.exists():
        return
    sample = prepare_sample(read_scan(scan_file), read_scan(label_file), spec)
    part = file.with_suffix(".part.npz")
    np.savez(part, voxels=sample.voxels, labels=sample.labels)
    part.replace(file)


def prepare_sample(scan: Scan, truth: Scan, spec: Spec) -> Sample:
    """``scan`` as the pipeline prepares it, and the label map ``truth`` on the same grid."""
    prepared = prepare(scan, spec)
    source = axial(truth.geometry)
    native = reorient(truth.voxels, truth.geometry, source)
    # Per class, so that a boundary lies where half of each class meets, not half a number.
    shares = [
        resample((native == number).astype(np.float32), source, prepared.geometry, antialias=True)
        for number in Structure
    ]
    labels = np.argmax(shares, axis=0).astype(np.uint8)
    inside = np.zeros(labels.shape, dtype=bool)
    inside[
        covered(source, prepared.geometry, 2),
        covered(source, prepared.geometry, 1),
        covered(source, prepared.geometry, 0),
    ] = True
    return Sample(prepared.voxels.astype(np.float16), labels * inside)


def _read(file: Path) -> Sample:
    with np.load(file) as arrays:
        return Sample(arrays["voxels"], arrays["labels"])


def draw_window(
    sample: Sample, size: tuple[int, int, int], near: float, draw: np.random.Generator
) -> tuple[Array, NDArray[np.uint8]]:
    """A random window (Z, Y, X) of ``size``, with probability ``near`` about a structure.

    What lies outside the sample is black and background, as at inference.
    """
    shape = np.array(sample.voxels.shape)
    marked = np.argwhere(sample.labels) if draw.random() < near else np.empty((0, 3), np.int64)
    centre = marked[draw.integers(len(marked))] if len(marked) else draw.integers(shape)
    jitter = draw.uniform(-0.35, 0.35, 3) * size
    start = np.rint(centre + jitter - np.array(size) / 2).astype(int)
    # Inside where the sample is large enough, else centred on it, as windows.plan pads.
    room = shape - size
    start = np.where(room >= 0, np.clip(start, 0, np.maximum(room, 0)), room // 2)
    low, high = np.maximum(start, 0), np.minimum(start + size, shape)
    source = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    place = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    voxels = np.full(size, BLACK, dtype=np.float32)
    labels = np.zeros(size, dtype=np.uint8)
    voxels[place] = sample.voxels[source]
    labels[place] = sample.labels[source]
    return voxels, labels
