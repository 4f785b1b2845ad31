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
    draw: np.random.Generator,
    protocol: Protocol,
    field_tesla: float,
    geometry: Geometry,
    resolved: tuple[float, float],
    wraps: bool,
) -> Effects:
    """One scan's effects; ``resolved`` bounds the share of the matrix that is acquired."""
    moves = draw.random() < MOTION_PROBABILITY
    blanks = draw.random() < BLANK_PROBABILITY
    echo = isinstance(protocol, TurboSpinEcho)
    gradient = isinstance(protocol, Mprage | SpoiledGradient)
    kept_phase = draw.uniform(*resolved)
    pixels, rows = geometry.size[0], geometry.size[1]
    edge = [int(v) for v in draw.integers(0, max(pixels // 12, 1), 4)] if blanks else [0] * 4
    # Fat at 220 Hz per 1.5 T against bandwidths of 150-400 Hz a pixel.
    bandwidth_hz = draw.uniform(150, 250) if echo else draw.uniform(200, 400)
    fat_mm = min(147 * field_tesla / bandwidth_hz * geometry.spacing_mm[0], 2.0)
    return Effects(
        bias_sd=draw.uniform(0.1, 0.35) * 0.6,  # the rest of the range is the coil's profile
        bias_mm=draw.uniform(40, 80),
        # Measured pictures show fat at the surface about as bright as without a coil: most scans
        # are normalised.
        coil_gain=draw.uniform(0.95, 1.2) if draw.random() < 0.75 else draw.uniform(1.2, 2.2),
        noise_to_brain=1 / draw.uniform(*BRAIN_SNR[_family(protocol)]),
        slice_fwhm=draw.uniform(0.8, 1.2),
        kept_phase=kept_phase,
        kept_read=min(kept_phase * draw.uniform(1.0, 1.25), 1.0),
        hann=draw.uniform(0.4, 1.0) if draw.random() < HANN_PROBABILITY else 0.0,
        ghost=draw.uniform(0.01, 0.05) if draw.random() < 0.5 else 0.0,
        ghost_step=draw.uniform(0.05, 0.3),
        motion_deg=draw.uniform(-1.5, 1.5) if moves else 0.0,
        motion_mm=(draw.uniform(-1.5, 1.5), draw.uniform(-1.5, 1.5)) if moves else (0.0, 0.0),
        motion_share=draw.uniform(0.1, 0.45) if moves else 0.0,
        read_along_x=bool(draw.random() < 0.4),
        fat_shift_mm=fat_mm * (1 if draw.random() < 0.5 else -1),
        wrap_voxels=int(draw.uniform(0.02, 0.12) * rows) if wraps else 0,
        blank_voxels=(edge[0], edge[1], edge[2], edge[3]),
        air_field_hz=draw.uniform(30, 130) * field_tesla / 1.5,
        smooth_field_hz=draw.uniform(5, 15) * field_tesla / 1.5,
        air_t2_star_ms=draw.uniform(5, 20) if gradient else 0.0,
        flow_prepontine=draw.uniform(0.1, 0.6) if echo else _sometimes(draw),
        flow_ventricle=draw.uniform(0.1, 0.6) if echo else _sometimes(draw),
        brain_value=float(np.exp(draw.uniform(np.log(60), np.log(800)))),
        largest_value=draw.uniform(1000, 5000),
    )


def _sometimes(draw: np.random.Generator) -> float:
    """Flow compensation leaves little loss on gradient echoes."""
    return float(draw.uniform(0.05, 0.25)) if draw.random() < 0.4 else 0.0


def _family(protocol: Protocol) -> str:
    if isinstance(protocol, BalancedSsfp):
        return "bssfp"
    return "tse" if isinstance(protocol, TurboSpinEcho) else "t1"
