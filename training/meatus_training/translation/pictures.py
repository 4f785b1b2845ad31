"""A picture of a scan and its translation, to be looked at."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from meatus.atomic import write_whole
from meatus_training.dataset import Sample

# Red, green, blue: extra-meatal, intra-meatal, cochlea, as the challenge paints them.
COLOURS = np.array([[255, 60, 60], [60, 230, 60], [90, 130, 255]], dtype=np.uint8)


def write_view(file: Path, sample: Sample, translated: NDArray[np.float16]) -> None:
    """Source, translation, and the translation with the labels' outlines; then a coronal cut.

    The slice is the one with the most labelled voxels; the cut along z, where slices that do
    not fit one another show, goes through the labels' middle.
    """
    marked = sample.labels > 0
    z = int(marked.sum(axis=(1, 2)).argmax())
    y = int(marked.sum(axis=(0, 2)).argmax())
    rows = []
    for cut in (np.s_[z], np.s_[:, y]):
        found = translated[cut]
        outlined = _outlined(found, sample.labels[cut])
        rows.append(np.hstack([_grey(sample.voxels[cut]), _grey(found), outlined]))
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, "PNG")
    write_whole(file, buffer.getvalue())


def _grey(plane: NDArray[np.float16]) -> NDArray[np.uint8]:
    """(A, B) in [-1, 1] to (A, B, 3)."""
    grey = np.rint((np.clip(plane.astype(np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _outlined(plane: NDArray[np.float16], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``plane`` with the inner border of each structure in its colour, (A, B, 3)."""
    picture = _grey(plane)
    for number, colour in enumerate(COLOURS, start=1):
        mask = labels == number
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture
