"""From tissues to grey values: contrasts of hrT2 and what the scanner adds."""

from __future__ import annotations

from enum import Enum, IntEnum, auto

import numpy as np
from scipy import fft, ndimage

from inference.geometry import Array, Geometry
from training.phantom.fields import draw_field


class Tissue(IntEnum):
    """What a part is made of."""

    AIR = 0
    BONE = auto()
    MARROW = auto()
    FAT = auto()
    MUSCLE = auto()
    CSF = auto()
    GREY = auto()
    WHITE = auto()
    PONS = auto()
    FISSURE = auto()
    PERILYMPH = auto()
    MODIOLUS = auto()
    NERVE = auto()
    ARTERY = auto()
    VEIN = auto()
    VITREOUS = auto()
    MUCOSA = auto()
    TUMOUR = auto()
    CYST = auto()
    FRAME = auto()


class Contrast(Enum):
    """Families of hrT2 contrast."""

    CISS = auto()
    TSE = auto()
    RANDOM = auto()


# Signal relative to CSF, computed from relaxation times: CISS at 1.5 T before and after
# gadolinium; TSE at an echo time of 140 ms and of 160 ms with a restore pulse. Bone and air
# as measured on example pictures.
TABLE: dict[Tissue, tuple[float, float, float, float]] = {
    Tissue.AIR: (0.01, 0.01, 0.01, 0.01),
    Tissue.BONE: (0.03, 0.03, 0.03, 0.03),
    Tissue.MARROW: (0.30, 0.34, 0.38, 0.20),
    Tissue.FAT: (0.62, 0.62, 0.70, 0.40),
    Tissue.MUSCLE: (0.09, 0.11, 0.13, 0.06),
    Tissue.CSF: (1.0, 1.0, 1.0, 1.0),
    Tissue.GREY: (0.22, 0.22, 0.40, 0.22),
    Tissue.WHITE: (0.17, 0.17, 0.29, 0.14),
    Tissue.PONS: (0.18, 0.19, 0.31, 0.16),
    Tissue.FISSURE: (0.42, 0.42, 0.58, 0.45),
    Tissue.PERILYMPH: (0.90, 0.90, 1.0, 0.94),
    Tissue.MODIOLUS: (0.25, 0.27, 0.30, 0.22),
    Tissue.NERVE: (0.19, 0.19, 0.30, 0.14),
    Tissue.ARTERY: (0.05, 0.05, 0.03, 0.03),
    Tissue.VEIN: (0.15, 0.20, 0.10, 0.06),
    Tissue.VITREOUS: (0.78, 0.78, 0.96, 0.86),
    Tissue.MUCOSA: (0.35, 0.45, 0.50, 0.35),
    Tissue.TUMOUR: (0.26, 0.45, 0.46, 0.25),
    Tissue.CYST: (0.69, 0.77, 1.0, 0.77),
    Tissue.FRAME: (1.3, 1.3, 1.3, 1.3),
}

# Texture SD relative to the tissue's mean; bone and marrow are patchy, fluids nearly flat.
TEXTURE: dict[Tissue, float] = {
    Tissue.BONE: 0.6,
    Tissue.MARROW: 0.30,
    Tissue.FAT: 0.15,
    Tissue.MUSCLE: 0.25,
    Tissue.CSF: 0.04,
    Tissue.GREY: 0.07,
    Tissue.WHITE: 0.07,
    Tissue.PONS: 0.06,
    Tissue.FISSURE: 0.2,
    Tissue.TUMOUR: 0.13,
    Tissue.MUCOSA: 0.25,
    Tissue.CYST: 0.08,
    Tissue.PERILYMPH: 0.08,
}


def draw_contrast(rng: np.random.Generator) -> Contrast:
    """Three in five scans follow the tables, the others any contrast of the kind."""
    families = [Contrast.CISS, Contrast.TSE, Contrast.RANDOM]
    return families[int(rng.choice(3, p=[0.3, 0.3, 0.4]))]


def draw_palette(rng: np.random.Generator, contrast: Contrast) -> Array:
    """Mean signal per tissue (tissues,), with CSF near 1."""
    first = 2 if contrast is Contrast.TSE else 0
    mix = rng.uniform()
    if contrast is Contrast.CISS and rng.uniform() < 0.6:
        mix = 0.0  # most CISS scans precede the contrast agent
    table = np.array([TABLE[tissue] for tissue in Tissue], dtype=np.float32)
    palette = table[:, first] * (1 - mix) + table[:, first + 1] * mix
    if contrast is Contrast.RANDOM:
        palette = _random_palette(rng, palette)
    palette = palette * np.exp(rng.normal(0, 0.1, palette.size))
    brain = palette[Tissue.PONS]
    palette[Tissue.TUMOUR] = np.clip(palette[Tissue.TUMOUR], 0.9 * brain, 0.85)
    for vessel in (Tissue.ARTERY, Tissue.VEIN):
        if rng.uniform() < 0.3:  # slow or refreshed blood is bright
            palette[vessel] = rng.uniform(0.1, 1.0)
    palette[Tissue.CSF] = 1.0
    return palette.astype(np.float32)


def _random_palette(rng: np.random.Generator, table: Array) -> Array:
    """Broad ranges that keep fluid brightest and bone dark."""
    palette = table * np.exp(rng.normal(0, 0.25, table.size))
    brain = rng.uniform(0.1, 0.5)
    palette[Tissue.PONS] = brain
    palette[Tissue.WHITE] = brain * rng.uniform(0.85, 1.05)
    palette[Tissue.GREY] = brain * rng.uniform(1.0, 1.4)
    palette[Tissue.NERVE] = brain * rng.uniform(0.7, 1.2)
    palette[Tissue.FISSURE] = brain + rng.uniform(0.1, 0.5) * (1 - brain)
    # Half of the tumours lie near the brain, half anywhere up to nearly fluid.
    bright = brain * (0.85 / brain) ** rng.uniform(0, 1)
    palette[Tissue.TUMOUR] = bright if rng.uniform() < 0.5 else brain * rng.uniform(0.9, 1.7)
    palette[Tissue.FAT] = rng.uniform(0.15, 0.9)
    palette[Tissue.MARROW] = palette[Tissue.FAT] * rng.uniform(0.3, 0.9)
    palette[Tissue.MUSCLE] = brain * rng.uniform(0.2, 0.7)
    palette[Tissue.BONE] = rng.uniform(0.01, 0.07)
    return palette


def acquire(signal: Array, geometry: Geometry, palette: Array, rng: np.random.Generator) -> Array:
    """What the scanner makes of the ``signal`` (Z, Y, X): blur, coil, noise, whole numbers."""
    voxels = signal * _coil(geometry, rng)
    sigma = float(palette[Tissue.PONS]) / rng.uniform(8, 25)
    if rng.uniform() < 0.4:
        noisy = _rician(voxels, sigma * 0.8, rng)
        voxels = _zero_fill(noisy, rng.uniform(0.6, 0.85))
    else:
        blur = rng.uniform(0.2, 0.7)
        voxels = _rician(ndimage.gaussian_filter(voxels, (0, blur, blur)), sigma, rng)
    if rng.uniform() < 0.25:
        voxels = np.clip(voxels, 0, None) ** rng.uniform(0.8, 1.2)
    top = rng.uniform(500, 5000) / float(np.percentile(voxels[::4, ::4, ::4], 99.9))
    return np.asarray(np.rint(np.clip(voxels * top, 0, 8000)), dtype=np.float32)


def _coil(geometry: Geometry, rng: np.random.Generator) -> Array:
    """Receive field (Z, Y, X): a smooth random part, and brighter near the coil."""
    step = np.array(geometry.spacing_mm) * (np.array(geometry.size) - 1)
    extent = (float(step[2]), float(step[1]), float(step[0]))
    field = draw_field(rng, extent, geometry.shape[1:], 70.0)
    spread, gain = rng.uniform(0.1, 0.3), rng.uniform(0, 0.35)
    y, x = (np.linspace(-1, 1, size) for size in geometry.shape[1:])
    surface = gain * np.minimum(y[:, None] ** 2 + x[None, :] ** 2, 1.5)
    heights = np.arange(geometry.shape[0]) * geometry.spacing_mm[2]
    planes = [np.exp(spread * field.plane(float(z)) + surface) for z in heights]
    return np.asarray(planes, dtype=np.float32)


def _rician(voxels: Array, sigma: float, rng: np.random.Generator) -> Array:
    """The magnitude of a signal with complex noise."""
    real = voxels + sigma * rng.standard_normal(voxels.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(voxels.shape, dtype=np.float32)
    return np.asarray(np.sqrt(real * real + imaginary * imaginary), dtype=np.float32)


def _zero_fill(voxels: Array, kept: float) -> Array:
    """Keep the central ``kept`` share of k-space in-plane under a soft edge."""
    spectrum = fft.rfft2(voxels)
    y = np.abs(fft.fftfreq(voxels.shape[1]))[:, None] * 2
    x = np.abs(fft.rfftfreq(voxels.shape[2]))[None, :] * 2
    edge = np.clip((kept - np.maximum(x, y)) / 0.15 + 0.5, 0, 1).astype(np.float32)
    return np.asarray(np.abs(fft.irfft2(spectrum * edge, s=voxels.shape[1:])), dtype=np.float32)
