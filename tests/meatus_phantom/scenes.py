"""Tiny scenes of balls and cylinders in place of heads: what cohorts and checks are tested on."""

import numpy as np
from scipy.ndimage import gaussian_filter

from meatus.geometry import Geometry
from meatus.structures import Structure
from meatus_phantom.generate import Case
from meatus_phantom.random_streams import stream
from meatus_phantom.tissues import Tissue

GRID = Geometry((128, 128, 12), (1.5, 1.5, 1.5), (-95.25, -90.0, -8.25))
# Over CSF and over brain, as at Tilburg.
LEVELS = {
    "hrT2": {Tissue.CSF: 1.0, Tissue.PONS: 0.34, Tissue.TUMOUR: 0.46, Tissue.FAT: 0.75,
             Tissue.MUSCLE: 0.15, Tissue.BONE: 0.02, Tissue.PERILYMPH: 0.95},
    "ceT1": {Tissue.CSF: 0.4, Tissue.PONS: 1.0, Tissue.TUMOUR: 2.0, Tissue.FAT: 1.8,
             Tissue.MUSCLE: 1.3, Tissue.BONE: 0.02, Tissue.PERILYMPH: 0.4},
}  # fmt: skip
NOISE = {"hrT2": 1 / 45, "ceT1": 1 / 25}
BRIGHTNESS = 400
CHANGES = ("none", "flat", "soft", "grey air", "bright tumour", "same")


def positions():
    """Scanner positions of the grid's voxels: x left, y posterior, z up; mm."""
    z, y, x = (np.arange(n) for n in GRID.shape)
    steps = zip((x, y, z), GRID.spacing_mm, GRID.origin_mm, strict=True)
    x, y, z = (first + step * index for index, step, first in steps)
    return x[None, None, :], y[None, :, None], z[:, None, None]


def ball(centre, volume_mm3, shape=(1.0, 1.0, 1.0)):
    """Voxels of a ball, or ellipsoid of ``shape``, about ``centre``."""
    radius = (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
    return sum(
        ((axis - c) / (radius * s)) ** 2
        for axis, c, s in zip(positions(), centre, shape, strict=True)
    ) < 1  # fmt: skip


def tissue_map(side, tumour_mm3, behind_mm=0.0):
    """Shells of fat, bone, CSF and brain, a block of muscle, and a tumour (Z, Y, X)."""
    x, y, _ = positions()
    radius = np.hypot(x, y) + np.zeros(GRID.shape)
    tissues = np.full(GRID.shape, Tissue.AIR, dtype=np.uint8)
    for limit, tissue in ((80, Tissue.FAT), (70, Tissue.BONE), (60, Tissue.CSF), (42, Tissue.PONS)):
        tissues[radius < limit] = tissue
    tissues[(np.abs(x) < 15) & (np.abs(y + 30) < 12) & (radius < 99)] = Tissue.MUSCLE
    tissues[ball((side * 25, behind_mm, 0), tumour_mm3)] = Tissue.TUMOUR
    return tissues


def label_map(side, tumour_mm3, behind_mm=0.0, cochlea_mm3=105.0, apart_mm=74.0):
    """Its lateral part beyond 28 mm from the midline is intra-meatal; two cochleae."""
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    x = np.broadcast_to(positions()[0], GRID.shape)
    tumour = ball((side * 25, behind_mm, 0), tumour_mm3)
    labels[tumour] = Structure.EXTRA_MEATAL
    labels[tumour & (side * x > 28)] = Structure.INTRA_MEATAL
    for at in (-1, 1):
        labels[ball((at * apart_mm / 2, -7, -1), cochlea_mm3)] = Structure.COCHLEA
    return labels


def scan_of(tissues, modality, seed, change="none"):
    """Stored intensities of a tissue map, blurred by less than a voxel, with Rician noise."""
    assert change in CHANGES
    levels = np.zeros(len(Tissue))
    for tissue, level in LEVELS[modality].items():
        levels[tissue] = level
    if change == "bright tumour":
        levels[Tissue.TUMOUR] *= 3
    wide = 2.0 if change == "soft" else 0.45
    signal = (
        gaussian_filter(levels[tissues], (0, wide, wide)) if change != "flat" else levels[tissues]
    )
    rng = stream(0 if change == "same" else seed, "noise")
    noise = rng.normal(0, NOISE[modality], (2, *tissues.shape))
    scan = np.hypot(signal + noise[0], noise[1])
    if change == "grey air":
        scan = signal + 0.2 + noise[0]
    return np.rint(BRIGHTNESS * scan).clip(0, 32767).astype(np.int16)


def tiny_case(
    subject_seed, scan_seed, site, modality, recipe, patients=(), device=None, change="none"
):
    """What ``make_case`` is to cohorts: the same subject for the same seed, and so on."""
    rng = stream(0 if change == "same" else subject_seed, "tiny")
    side = 1 if rng.random() < 0.5 else -1
    tumour_mm3 = 1280 * float(np.exp(rng.normal(0, 0.2)))
    behind_mm = float(rng.uniform(0, 10))
    tissues = tissue_map(side, tumour_mm3, behind_mm)
    scan = scan_of(tissues, modality, scan_seed, change)
    source = patients[int(rng.integers(len(patients)))].subject if patients else "procedural"
    drawn = {
        "appearance": "random" if recipe.random_share else "physics",
        "site": site,
        "modality": modality,
        "lesion": "ordinary",
        "left_source" if side > 0 else "right_source": source,
        "left_extra_mm3" if side > 0 else "right_extra_mm3": tumour_mm3,
        "effect_kept_read": 1.0,
        "effect_kept_phase": 1.0,
        "effect_read_along_x": True,
        "text": "one, two",
    }
    return Case(scan, label_map(side, tumour_mm3, behind_mm), tissues, GRID, drawn)
