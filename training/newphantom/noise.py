"""Noise and spectrum of one scan whose tissues are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, uniform_filter

from inference.geometry import Array
from training.newphantom.measures import Known, corner_air, inside
from training.newphantom.tissues import Tissue

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)  # of the magnitude of complex noise of unit SD
RAYLEIGH_SD = math.sqrt(2 - math.pi / 2)
WINDOW = 5  # voxels: side of the squares over which noise is taken
FEWEST_WINDOWS = 30
# mm per cycle between which power is fitted: longer ones depend on what the field of view
# holds, shorter ones on the matrix that was acquired.
LONGEST_MM, SHORTEST_MM = 20.0, 2.0


@dataclass(frozen=True)
class Noise:
    """Noise of one scan."""

    sd: float  # of each of the two channels, from the air
    air_ratio: float  # mean over SD in air; 1.913 for a Rayleigh distribution
    csf_ratio: float | None  # SD in clear CSF over ``sd``; none where too little CSF is clear


def noise(scan: Known) -> Noise | None:
    """Noise in the corners' air and in CSF; none where no corner is plain air."""
    corners = corner_air(scan)
    if not corners:
        return None
    ratios = [float(air.mean() / air.std()) for air in corners if air.std() > 0]
    sd = float(np.median([air.mean() for air in corners])) / RAYLEIGH_MEAN
    if not ratios or sd <= 0:
        return None
    local = np.median([np.sqrt(np.median(_variance(air))) for air in corners]) / RAYLEIGH_SD
    csf = _csf_sd(scan)
    # Both are taken over the same small windows: what neighbours share of their noise drops out.
    return Noise(sd, float(np.median(ratios)), None if csf is None else csf / float(local))


def _csf_sd(scan: Known) -> float | None:
    clear = inside(scan.tissues == Tissue.CSF, steps=WINDOW // 2 + 2)
    clear &= scan.visible()
    if clear.sum() < FEWEST_WINDOWS:
        return None
    return math.sqrt(float(np.median(_variance(scan.voxels)[clear])))


def _variance(voxels: Array) -> NDArray[np.float64]:
    """Variance in the square about each voxel (Z, Y, X), less its slope along x and y."""
    size = (1, WINDOW, WINDOW)
    wide = np.asarray(voxels, dtype=np.float64)
    mean = uniform_filter(wide, size)
    total = (uniform_filter(wide**2, size) - mean**2) * WINDOW**2
    ramp = np.arange(WINDOW, dtype=np.float64) - WINDOW // 2
    for axis in (1, 2):
        total -= _slope(wide, ramp, axis) ** 2 / (WINDOW * float((ramp**2).sum()))
    return np.asarray(total.clip(0) / (WINDOW**2 - 3))


def _slope(
    voxels: NDArray[np.float64], ramp: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Sum over the square of the values times their place along ``axis``."""
    other = 3 - axis
    summed = uniform_filter(voxels, [WINDOW if a == other else 1 for a in range(3)]) * WINDOW
    return np.asarray(correlate1d(summed, ramp, axis=axis))


def spectrum_slope(voxels: Array, spacing_mm: tuple[float, float]) -> float:
    """Exponent of the power of slices (Z, Y, X) against spatial frequency.

    Power is averaged over directions and slices, under a Hann window that keeps the picture's
    borders from adding their own.
    """
    _, rows, columns = voxels.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    centred = voxels - voxels.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.rfft2(centred * window)) ** 2).mean(axis=0)
    fy = np.fft.fftfreq(rows, spacing_mm[1])[:, None]
    frequency = np.hypot(fy, np.fft.rfftfreq(columns, spacing_mm[0])[None, :])
    edges = np.geomspace(1 / LONGEST_MM, 1 / SHORTEST_MM, 13)
    which = np.digitize(frequency, edges)
    points = [
        (math.log(math.sqrt(edges[n - 1] * edges[n])), math.log(float(power[which == n].mean())))
        for n in range(1, len(edges))
        if (which == n).any() and power[which == n].mean() > 0
    ]
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0])
