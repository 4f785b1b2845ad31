"""The steady-state signal of each pulse sequence (equations of docs/phantom.md, section 2).

Pure functions of arrays that broadcast; times in milliseconds, angles in degrees,
phases in radians.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.signal.properties import Properties

Values = NDArray[np.float64]

INVERSION = 0.96  # share of the magnetisation that an adiabatic pulse inverts
PROTON_MHZ_PER_TESLA = 42.577
# Fat's six main peaks against water: ppm and relative amplitude (Hamilton et al., NMR Biomed 2011).
FAT_PEAKS = (
    (-3.80, 0.087),
    (-3.40, 0.693),
    (-2.60, 0.128),
    (-1.94, 0.004),
    (-0.39, 0.039),
    (0.60, 0.048),
)
MAIN_FAT_PPM = -3.40


@dataclass(frozen=True)
class Mprage:
    """Inversion-prepared gradient echo, one shot per partition."""

    repetition_ms: float = 1900.0
    inversion_ms: float = 1100.0
    echo_ms: float = 2.97
    flip_deg: float = 15.0
    readouts: int = 128
    readout_spacing_ms: float = 7.5


@dataclass(frozen=True)
class SpoiledGradient:
    """FLASH, FFE, SPGR."""

    repetition_ms: float = 25.0
    echo_ms: float = 1.82
    flip_deg: float = 30.0


@dataclass(frozen=True)
class BalancedSsfp:
    """bSSFP (FIESTA, bTFE); ``cycled`` combines two phase cycles (CISS, FIESTA-C)."""

    repetition_ms: float = 9.4
    echo_ms: float = 4.23
    flip_deg: float = 60.0
    cycled: bool = True


@dataclass(frozen=True)
class TurboSpinEcho:
    """TSE, SPACE, CUBE; ``drive`` flips fluids back at the end of the train (DRIVE, RESTORE)."""

    repetition_ms: float = 2700.0
    echo_ms: float = 140.0  # equivalent for contrast, not the nominal one
    train_ms: float = 320.0
    drive: bool = False


Protocol = Mprage | SpoiledGradient | BalancedSsfp | TurboSpinEcho


def mprage(protocol: Mprage, density: Values, t1_ms: Values, t2_star_ms: Values) -> Values:
    """Exact for one shot, read out through the middle of k-space."""
    spacing, count = protocol.readout_spacing_ms, protocol.readouts
    before_ms = protocol.inversion_ms - count * spacing / 2
    after_ms = protocol.repetition_ms - before_ms - count * spacing
    flip = math.radians(protocol.flip_deg)
    decay = math.cos(flip) * np.exp(-spacing / t1_ms)  # of what differs from the driven state
    driven = density * (1 - np.exp(-spacing / t1_ms)) / (1 - decay)
    before, after = np.exp(-before_ms / t1_ms), np.exp(-after_ms / t1_ms)
    train = decay**count
    ready = (
        density * (1 - after) + after * (driven * (1 - train) + density * (1 - before) * train)
    ) / (1 + INVERSION * before * after * train)
    start = density * (1 - before) - INVERSION * ready * before
    centre = driven + (start - driven) * decay ** (count / 2)
    return np.asarray(np.abs(centre) * math.sin(flip) * np.exp(-protocol.echo_ms / t2_star_ms))


def spoiled_gradient(
    protocol: SpoiledGradient, density: Values, t1_ms: Values, t2_star_ms: Values
) -> Values:
    flip = math.radians(protocol.flip_deg)
    e1 = np.exp(-protocol.repetition_ms / t1_ms)
    level = density * math.sin(flip) * (1 - e1) / (1 - e1 * math.cos(flip))
    return np.asarray(level * np.exp(-protocol.echo_ms / t2_star_ms))


def balanced_ssfp(
    protocol: BalancedSsfp,
    density: Values,
    t1_ms: Values,
    t2_ms: Values,
    precession: Values | float,
) -> Values:
    """One phase cycle; ``precession`` is 2 pi df TR + pi, so that pi is on resonance."""
    flip = math.radians(protocol.flip_deg)
    e1, e2 = np.exp(-protocol.repetition_ms / t1_ms), np.exp(-protocol.repetition_ms / t2_ms)
    c, s = np.cos(precession), np.sin(precession)
    below = (1 - e1 * math.cos(flip)) * (1 - e2 * c) - e2 * (e1 - math.cos(flip)) * (e2 - c)
    level = density * (1 - e1) * math.sin(flip) / below
    return np.asarray(level * np.hypot(1 - e2 * c, e2 * s) * np.exp(-protocol.echo_ms / t2_ms))


def cycled_ssfp(
    protocol: BalancedSsfp,
    density: Values,
    t1_ms: Values,
    t2_ms: Values,
    precession: Values | float,
) -> Values:
    """CISS: the brighter of two phase cycles half a turn apart."""
    return np.maximum(
        balanced_ssfp(protocol, density, t1_ms, t2_ms, precession),
        balanced_ssfp(protocol, density, t1_ms, t2_ms, precession + math.pi),
    )


def turbo_spin_echo(
    protocol: TurboSpinEcho, density: Values, t1_ms: Values, t2_ms: Values
) -> Values:
    kept = np.exp(-protocol.train_ms / t2_ms) if protocol.drive else np.zeros_like(t2_ms)
    e1 = np.exp(-(protocol.repetition_ms - protocol.train_ms) / t1_ms)
    level = density * np.exp(-protocol.echo_ms / t2_ms) * (1 - e1) / (1 - kept * e1)
    return np.asarray(level)


def magnitudes(
    protocol: Protocol, tissues: Properties, precession: Values | float = math.pi + 0.4
) -> Values:
    """Signal (T,) of every tissue, or (T, B) for ``precession`` (B,), which only bSSFP feels."""
    density, t1, t2, t2_star, transfer, t2_train = (
        values[:, None] if np.ndim(precession) else values
        for values in (
            tissues.density,
            tissues.t1_ms,
            tissues.t2_ms,
            tissues.t2_star_ms,
            tissues.transfer,
            tissues.t2_train_ms,
        )
    )
    match protocol:
        case Mprage():
            return mprage(protocol, density, t1, t2_star)
        case SpoiledGradient():
            return spoiled_gradient(protocol, density, t1, t2_star)
        case TurboSpinEcho():
            return turbo_spin_echo(protocol, density, t1, t2_train)
        case BalancedSsfp(cycled=True):
            return transfer * cycled_ssfp(protocol, density, t1, t2, precession)
        case BalancedSsfp():
            return transfer * balanced_ssfp(protocol, density, t1, t2, precession)


def fat_phasor(protocol: Protocol, field_tesla: float) -> complex:
    """Amplitude and phase of fat against water at the echo; 1 where an echo refocuses them.

    In bSSFP the echo at TR/2 is refocused too, up to a sign that alternates between bands.
    """
    match protocol:
        case TurboSpinEcho():
            return 1.0 + 0.0j
        case BalancedSsfp():
            turns = fat_offset_hz(field_tesla) * protocol.repetition_ms / 1000
            return complex((-1) ** round(turns))
        case _:
            turns_per_hertz = protocol.echo_ms / 1000
            return sum(
                amplitude * cmath.exp(2j * math.pi * _hertz(ppm, field_tesla) * turns_per_hertz)
                for ppm, amplitude in FAT_PEAKS
            )


def fat_offset_hz(field_tesla: float) -> float:
    """Frequency of fat's main peak against water (negative)."""
    return _hertz(MAIN_FAT_PPM, field_tesla)


def _hertz(ppm: float, field_tesla: float) -> float:
    return ppm * PROTON_MHZ_PER_TESLA * field_tesla
