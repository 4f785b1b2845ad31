"""Draws of the scanner's effects, within the ranges of docs/phantom.md (section 5)."""

from __future__ import annotations

import numpy as np

from meatus.geometry import Geometry
from meatus_phantom.acquisition.setup import Effects
from meatus_phantom.signal.sequences import (
    BalancedSsfp,
    Mprage,
    Protocol,
    SpoiledGradient,
    TurboSpinEcho,
)

MOTION_PROBABILITY = 0.15
HANN_PROBABILITY = 0.5
BLANK_PROBABILITY = 0.1
# Ratio of the pons to the SD of the noise. CISS shows brain at 0.18 of CSF and TSE at about 0.31,
# so that CSF comes to 45-80.
BRAIN_SNR = {"bssfp": (8.0, 15.0), "tse": (12.0, 25.0), "t1": (15.0, 40.0)}


def draw_effects(
    rng: np.random.Generator,
    protocol: Protocol,
    field_tesla: float,
    geometry: Geometry,
    resolved: tuple[float, float],
    wraps: bool,
) -> Effects:
    """One scan's effects; ``resolved`` bounds the share of the matrix that is acquired."""
    moves = rng.random() < MOTION_PROBABILITY
    blanks = rng.random() < BLANK_PROBABILITY
    echo = isinstance(protocol, TurboSpinEcho)
    gradient = isinstance(protocol, Mprage | SpoiledGradient)
    kept_phase = rng.uniform(*resolved)
    pixels, rows = geometry.size[0], geometry.size[1]
    edge = [int(v) for v in rng.integers(0, max(pixels // 12, 1), 4)] if blanks else [0] * 4
    # Fat at 220 Hz per 1.5 T against bandwidths of 150-400 Hz a pixel.
    bandwidth_hz = rng.uniform(150, 250) if echo else rng.uniform(200, 400)
    fat_mm = min(147 * field_tesla / bandwidth_hz * geometry.spacing_mm[0], 2.0)
    return Effects(
        bias_sd=rng.uniform(0.1, 0.35) * 0.6,  # the rest of the range is the coil's profile
        bias_mm=rng.uniform(40, 80),
        # Measured pictures show fat at the surface about as bright as without a coil: most scans
        # are normalised.
        coil_gain=rng.uniform(0.95, 1.2) if rng.random() < 0.75 else rng.uniform(1.2, 2.2),
        noise_to_brain=1 / rng.uniform(*BRAIN_SNR[_family(protocol)]),
        slice_fwhm=rng.uniform(0.8, 1.2),
        kept_phase=kept_phase,
        kept_read=min(kept_phase * rng.uniform(1.0, 1.25), 1.0),
        hann=rng.uniform(0.4, 1.0) if rng.random() < HANN_PROBABILITY else 0.0,
        ghost=rng.uniform(0.01, 0.05) if rng.random() < 0.5 else 0.0,
        ghost_step=rng.uniform(0.05, 0.3),
        motion_deg=rng.uniform(-1.5, 1.5) if moves else 0.0,
        motion_mm=(rng.uniform(-1.5, 1.5), rng.uniform(-1.5, 1.5)) if moves else (0.0, 0.0),
        motion_share=rng.uniform(0.1, 0.45) if moves else 0.0,
        read_along_x=bool(rng.random() < 0.4),
        fat_shift_mm=fat_mm * (1 if rng.random() < 0.5 else -1),
        wrap_voxels=int(rng.uniform(0.02, 0.12) * rows) if wraps else 0,
        blank_voxels=(edge[0], edge[1], edge[2], edge[3]),
        air_field_hz=rng.uniform(30, 130) * field_tesla / 1.5,
        smooth_field_hz=rng.uniform(5, 15) * field_tesla / 1.5,
        air_t2_star_ms=rng.uniform(5, 20) if gradient else 0.0,
        flow_prepontine=rng.uniform(0.1, 0.6) if echo else _sometimes(rng),
        flow_ventricle=rng.uniform(0.1, 0.6) if echo else _sometimes(rng),
        brain_value=float(np.exp(rng.uniform(np.log(60), np.log(800)))),
        largest_value=rng.uniform(1000, 5000),
    )


def _sometimes(rng: np.random.Generator) -> float:
    """Flow compensation leaves little loss on gradient echoes."""
    return float(rng.uniform(0.05, 0.25)) if rng.random() < 0.4 else 0.0


def _family(protocol: Protocol) -> str:
    if isinstance(protocol, BalancedSsfp):
        return "bssfp"
    return "tse" if isinstance(protocol, TurboSpinEcho) else "t1"
