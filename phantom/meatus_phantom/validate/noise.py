"""Noise and spectrum of one scan whose tissues are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Array
from meatus_phantom.tissues import Tissue
from meatus_phantom.validate.measures import Known, Mask, corner_air, inside

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)  # of the magnitude of complex noise of unit SD
RAYLEIGH_SD = math.sqrt(2 - math.pi / 2)
MEDIAN_CHI2 = 0.4549  # median of the square of a standard normal variable
BEND_VARIANCE = 6  # of a second difference of independent values of unit variance: 1 + 4 + 1
FREE_OF_NEIGHBOURS = 1.5  # acquired voxels from which on noise is independent
CLEAR = 2  # voxels between clear CSF and anything else
FEWEST_VOXELS = 200
# mm per cycle between which power is fitted: longer ones depend on what the field of view
# holds, shorter ones on the matrix that was acquired.
LONGEST_MM, SHORTEST_MM = 20.0, 2.0


@dataclass(frozen=True)
class Noise:
    """Noise of one scan."""

    sd: float  # of each of the two channels, from the air
    air_ratio: float  # mean over SD in air; 1.913 for a Rayleigh distribution
    csf_sd: float | None  # from one acquired voxel to the next; none where too little is clear
    csf_ratio: float | None  # the same over what air's noise gives


def noise(scan: Known) -> Noise | None:
    """Noise in the corners' air and in CSF; none where no corner is plain air."""
    corners = corner_air(scan)
    if not corners:
        return None
    ratios = [float(air.mean() / air.std()) for air in corners if air.std() > 0]
    sd = float(np.median([air.mean() for air in corners])) / RAYLEIGH_MEAN
    if not ratios or sd <= 0:
        return None
    csf = inside(scan.tissues == Tissue.CSF, steps=CLEAR) & scan.visible()
    csf_sds, csf_ratios = [], []
    for axis, kept in enumerate(scan.kept):
        lag = math.ceil(FREE_OF_NEIGHBOURS / kept)
        clear = bends(scan.voxels, csf, axis, lag)
        everywhere = [bends(air, np.ones(air.shape, dtype=bool), axis, lag) for air in corners]
        plain = np.concatenate(everywhere)
        if len(clear) >= FEWEST_VOXELS and len(plain) >= FEWEST_VOXELS:
            # From the median, which vessels and nerves do not move.
            csf_sds.append(math.sqrt(float(np.median(clear**2)) / MEDIAN_CHI2 / BEND_VARIANCE))
            own = math.sqrt(float(np.mean(plain**2)) / BEND_VARIANCE) / RAYLEIGH_SD
            csf_ratios.append(csf_sds[-1] / own)
    if not csf_sds:
        return Noise(sd, float(np.median(ratios)), None, None)
    csf_sd, csf_ratio = float(np.mean(csf_sds)), float(np.mean(csf_ratios))
    return Noise(sd, float(np.median(ratios)), csf_sd, csf_ratio)


def bends(voxels: Array, mask: Mask, axis: int, lag: int) -> NDArray[np.float64]:
    """Second differences over ``lag`` voxels along x (0) or y (1) within ``mask``.

    Slopes, and mottles many voxels wide, hardly touch them.
    """
    dim = 2 - axis
    low, middle, high = (
        tuple(slice(first, last) if d == dim else slice(None) for d in range(3))
        for first, last in ((0, -2 * lag), (lag, -lag), (2 * lag, None))
    )
    inner = mask[low] & mask[middle] & mask[high]
    before, here, after = (voxels[part][inner].astype(np.float64) for part in (low, middle, high))
    return np.asarray(before - 2 * here + after)


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
    edges = np.geomspace(1 / LONGEST_MM, 1 / max(SHORTEST_MM, 2 * max(spacing_mm)), 13)
    which = np.digitize(frequency, edges)
    points = [
        (math.log(math.sqrt(edges[n - 1] * edges[n])), math.log(float(power[which == n].mean())))
        for n in range(1, len(edges))
        if (which == n).any() and power[which == n].mean() > 0
    ]
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0])
