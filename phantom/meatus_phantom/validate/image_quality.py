"""Noise, spectrum and edge width of one scan whose tissues are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from meatus.geometry import Array
from meatus_phantom.tissues import Tissue
from meatus_phantom.validate.measures import BRAIN, DARK, Known, Mask, corner_air, inside

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

FLUID = (Tissue.CSF, Tissue.VITREOUS)
SIDES = {"fluid": FLUID, "brain": BRAIN, "dark": DARK, "fat": (Tissue.FAT,)}
REACH = 6  # voxels either side of an edge that must be of one tissue each
STEEP = 0.95  # cosine of the largest angle between an edge's normal and the line across it
FEWEST_EDGES = 60
MOST_EDGES = 4000
LOW_HIGH = (0.25, 0.75)  # of the step, between which a box-shaped blur is straight


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


def edge_width(scan: Known) -> float | None:
    """Width of a sharp edge in acquired voxels, or none where too few edges are seen.

    A line across an edge between two kinds of tissue rises as the integral of the point spread
    function. Lines are laid over each other at the middle of their rise and averaged; the width is
    that of a straight ramp (a box-shaped function) of the same slope.
    """
    found = [_along(scan, axis) for axis in range(2)]
    widths = [width for width in found if width is not None]
    return float(np.mean(widths)) if widths else None


def _along(scan: Known, axis: int) -> float | None:
    """``edge_width`` for lines along x (axis 0) or y (axis 1)."""
    lines = _lines(scan, axis)
    if len(lines) < FEWEST_EDGES:
        return None
    return _ramp_width(lines) * scan.kept[axis]


def _lines(scan: Known, axis: int) -> Array:
    """Normalised profiles (N, 2 REACH) across edges that stand square to the line, from 0 to 1."""
    kinds = _kinds(scan)
    voxels = scan.voxels
    if axis == 1:
        kinds, voxels = kinds.swapaxes(1, 2), voxels.swapaxes(1, 2)
    z, y, x = np.nonzero(_clean_edges(kinds))
    if len(z) > MOST_EDGES:
        pick = np.linspace(0, len(z) - 1, MOST_EDGES).astype(int)
        z, y, x = z[pick], y[pick], x[pick]
    reach = np.arange(-REACH, REACH)
    across = voxels[z[:, None], y[:, None], x[:, None] + reach]
    beside = voxels[z, y + 1, x] - voxels[z, y - 1, x] + voxels[z, y + 1, x - 1]
    beside = (beside - voxels[z, y - 1, x - 1]) / 4
    rise = across[:, REACH] - across[:, REACH - 1]
    low, high = across[:, : REACH - 3].mean(1), across[:, -(REACH - 3) :].mean(1)
    step = high - low
    flat = np.maximum(np.ptp(across[:, : REACH - 3], axis=1), np.ptp(across[:, 9:], axis=1))
    square = np.abs(rise) > STEEP * np.hypot(rise, beside)
    good = np.flatnonzero(square & (flat < 0.25 * np.abs(step)))
    return np.asarray((across[good] - low[good, None]) / step[good, None])


def _kinds(scan: Known) -> NDArray[np.uint8]:
    """1, 2, ... for the kinds of tissue that edges are sought between, 0 elsewhere."""
    kinds = np.zeros(scan.tissues.shape, dtype=np.uint8)
    for number, group in enumerate(SIDES.values(), start=1):
        kinds[np.isin(scan.tissues, group)] = number
    kinds[~scan.visible()] = 0
    return kinds


def _clean_edges(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Voxels (Z, Y, X) that begin a run of one kind after a run of another, along x.

    The same edge must lie within a voxel in the slices and rows beside, so that it is upright.
    """
    same = (kinds[..., 1:] == kinds[..., :-1]) & (kinds[..., 1:] > 0)
    clean = np.zeros(kinds.shape, dtype=bool)
    runs = np.asarray(sliding_window_view(same, REACH - 1, axis=2).all(axis=-1), dtype=bool)
    before = runs[..., : runs.shape[2] - REACH]
    after = runs[..., REACH:]
    start = REACH
    stop = start + before.shape[2]
    steps = kinds[..., start:stop] != kinds[..., start - 1 : stop - 1]
    clean[..., start:stop] = before & after & steps
    near = clean.copy()
    near[..., 1:] |= clean[..., :-1]
    near[..., :-1] |= clean[..., 1:]
    upright = clean[1:-1, 1:-1].copy()
    for above, beside in ((0, 1), (2, 1), (1, 0), (1, 2)):
        upright &= near[above : above + upright.shape[0], beside : beside + upright.shape[1]]
    result = np.zeros_like(clean)
    result[1:-1, 1:-1] = upright
    return result


def _ramp_width(lines: Array) -> float:
    """Voxels that the mean of ``lines`` (N, 2 REACH) takes to rise, each aligned at its middle."""
    middle = REACH - 0.5 + _offsets(lines)
    fine = np.arange(-3, 3, 0.05)
    at = middle[:, None] + fine
    low = np.clip(np.floor(at).astype(int), 0, lines.shape[1] - 2)
    share = at - low
    rows = np.arange(len(lines))[:, None]
    mean = np.median(lines[rows, low] * (1 - share) + lines[rows, low + 1] * share, axis=0)
    crossings = [float(np.interp(level, mean, fine)) for level in LOW_HIGH]
    return (crossings[1] - crossings[0]) / (LOW_HIGH[1] - LOW_HIGH[0])


def _offsets(lines: Array) -> Array:
    """Where each line crosses one half, in voxels from the tissues' border."""
    upper = np.argmax(lines[:, REACH - 2 :] >= 0.5, axis=1) + REACH - 2
    upper = np.clip(upper, 1, lines.shape[1] - 1)
    rows = np.arange(len(lines))
    high, low = lines[rows, upper], lines[rows, upper - 1]
    rise = np.where(np.abs(high - low) > 1e-6, high - low, 1.0)
    share = np.clip((0.5 - low) / rise, 0, 1)
    return np.asarray(upper - 1 + share - (REACH - 0.5))
