"""Everything that is decided about a scan before it is made.

The scanner's effects are drawn within the ranges of docs/phantom.md (section 5).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from meatus.geometry import Geometry
from meatus_phantom.signal.sequences import (
    BalancedSsfp,
    Mprage,
    Protocol,
    SpoiledGradient,
    TurboSpinEcho,
)

Modality = Literal["ceT1", "hrT2"]
Value = str | float | int | bool

MOTION_PROBABILITY = 0.15
HANN_PROBABILITY = 0.5
BLANK_PROBABILITY = 0.1
# Ratio of the pons to the SD of the noise. CISS shows brain at 0.18 of CSF and TSE at about 0.31,
# so that CSF comes to 45-80.
BRAIN_SNR = {"bssfp": (8.0, 15.0), "tse": (12.0, 25.0), "t1": (15.0, 40.0)}


@dataclass(frozen=True)
class Effects:
    """Strengths of the scanner's effects; the defaults are a perfect scanner."""

    bias_sd: float = 0.0  # of the logarithm of the receive field
    bias_mm: float = 50.0  # width of its bumps
    coil_gain: float = 1.0  # at the head's surface, against its centre
    noise_to_brain: float = 0.0  # SD of each of the two channels against the pons' signal
    slice_fwhm: float = 0.0  # in slices
    kept_phase: float = 1.0  # share of k-space that is acquired, per axis
    kept_read: float = 1.0
    hann: float = 0.0  # 0 none, 1 a full Hann window over what is acquired
    ghost: float = 0.0  # strength of the first replica of pulsating bright structures
    ghost_step: float = 0.1  # its distance in fields of view
    motion_deg: float = 0.0
    motion_mm: tuple[float, float] = (0.0, 0.0)  # along x and y of the grid
    motion_share: float = 0.0  # of the phase-encoding steps, acquired after the head moved
    read_along_x: bool = True
    fat_shift_mm: float = 0.0  # along the readout
    wrap_voxels: int = 0  # voxels beyond either end of the phase axis that fold in
    blank_voxels: tuple[int, int, int, int] = (0, 0, 0, 0)  # x low, x high, y low, y high
    air_field_hz: float = 0.0  # largest error of the field beside air
    smooth_field_hz: float = 0.0  # SD of the rest of the error
    air_t2_star_ms: float = 0.0  # T2* beside air; 0 for sequences that do not feel it
    flow_prepontine: float = 0.0  # share of CSF signal lost
    flow_ventricle: float = 0.0
    brain_value: float = 300.0  # stored intensity of the pons
    largest_value: float = 5000.0  # the brightest tissue is stored no higher, coil profile apart


@dataclass(frozen=True)
class Deface:
    """How the face was hidden. ``cut``: zeros; ``blur``: a grey blur over the front."""

    kind: Literal["cut", "blur"]
    front_mm: float  # where it begins, anterior of the scanner's origin
    half_width_mm: float
    slant: float = 0.0  # growth of the half width per mm forwards
    tilt_deg: float = 0.0
    grey: float = 1.5  # brightness of the blur against brain


@dataclass(frozen=True)
class Setup:
    """One scan of one site."""

    site: str
    modality: Modality
    field_tesla: float
    protocol: Protocol
    gadolinium: bool
    geometry: Geometry  # of the file
    effects: Effects
    frame: bool = False  # a stereotactic frame is worn
    deface: Deface | None = None

    @property
    def rendered(self) -> Geometry:
        """The grid to render: wider than the file's where the head wraps around."""
        width = self.effects.wrap_voxels
        x, y, z = self.geometry.size
        if self.effects.read_along_x:
            return self.geometry.crop((0, -width, 0), (x, y + 2 * width, z))
        return self.geometry.crop((-width, 0, 0), (x + 2 * width, y, z))

    def describe(self) -> dict[str, Value]:
        """Every decision by name, flat, for a table of the cohort."""
        flat: dict[str, Value] = {
            "site": self.site,
            "modality": self.modality,
            "field_tesla": self.field_tesla,
            "sequence": type(self.protocol).__name__,
            "gadolinium": self.gadolinium,
            "frame": self.frame,
            "deface": self.deface.kind if self.deface else "none",
        }
        parts = [("geometry", asdict(self.geometry)), ("protocol", asdict(self.protocol))]
        parts.append(("effect", asdict(self.effects)))
        if self.deface:
            parts.append(("deface", asdict(self.deface)))
        for prefix, part in parts:
            for name, value in part.items():
                flat[f"{prefix}_{name}"] = _plain(value)
        return flat


def _plain(value: object) -> Value:
    if isinstance(value, tuple):
        return " ".join(str(_plain(item)) for item in value)
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, str | int):
        return value
    return str(value)


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
