"""Appearance of a scan from its pulse sequence and the tissues' properties."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.random_streams import bounded_normal
from meatus_phantom.signal.appearance import Appearance, Texture
from meatus_phantom.signal.properties import BRAIN, Properties, draw_properties
from meatus_phantom.signal.sequences import (
    BalancedSsfp,
    Mprage,
    Protocol,
    SpoiledGradient,
    TurboSpinEcho,
    fat_offset_hz,
    fat_phasor,
    magnitudes,
)
from meatus_phantom.tissues import Tissue

Values = NDArray[np.float64]

PHASE_BINS = 128  # of a bSSFP profile: its nulls are a few hundredths of a turn wide
# Fat share of the signal: subcutaneous fat is nearly pure, marrow of the skull base mixed.
FAT_SHARE = {Tissue.FAT: 1.0, Tissue.MARROW: 0.4}
TUMOUR_ROWS = (Tissue.TUMOUR, Tissue.TUMOUR_CORE)


def physics_appearance(
    rng: np.random.Generator, protocol: Protocol, field_tesla: float, gadolinium: bool
) -> Appearance:
    """One subject's scan with ``protocol``, before or after gadolinium."""
    tissues = draw_properties(rng, field_tesla)
    appearance = appearance_of(protocol, tissues.enhanced() if gadolinium else tissues, rng)
    water = appearance.water
    water[Tissue.PERILYMPH_AFFECTED] *= _affected_ear(rng)
    _set_blood(rng, protocol, water, gadolinium)
    if isinstance(protocol, TurboSpinEcho | BalancedSsfp):
        _vary_tumour(rng, water, banded=isinstance(protocol, BalancedSsfp))
        water[Tissue.FRAME] = 1.05 * water[Tissue.CSF]  # measured: the picture's maximum
    else:
        water[Tissue.FRAME] = 1.3 * water[Tissue.PONS]  # measured
    return appearance


def appearance_of(
    protocol: Protocol, tissues: Properties, rng: np.random.Generator | None = None
) -> Appearance:
    """What the equations alone give; textures only where a stream is given."""
    banded = isinstance(protocol, BalancedSsfp)
    bins = PHASE_BINS if banded else 1
    precession = 2 * math.pi * np.arange(bins) / bins + math.pi
    level = magnitudes(protocol, tissues, precession)
    level = np.broadcast_to(level, (len(Tissue), bins)).copy()
    if isinstance(protocol, TurboSpinEcho):
        # Without DRIVE, CSF saturates and would fall below fluids of shorter T1, as no scan shows.
        level = np.minimum(level, level[Tissue.CSF])
    shift = 2 * math.pi * fat_offset_hz(tissues.field_tesla) * protocol.repetition_ms / 1000
    shifted = magnitudes(protocol, tissues, precession + shift)
    phasor = fat_phasor(protocol, tissues.field_tesla)
    water, fat = level, np.zeros_like(level)
    for tissue, share in FAT_SHARE.items():
        # The two parts cancel in part at the echo; marrow's sum keeps the tissue's signal.
        joint = 1.0 if share == 1 else 1 / max(abs(1 - share + share * phasor), 0.5)
        fat[tissue] = share * joint * abs(phasor) * np.broadcast_to(shifted, level.shape)[tissue]
        water[tissue] *= (1 - share) * joint
    return Appearance(
        water=water,
        fat=fat,
        fat_phase_rad=math.atan2(phasor.imag, phasor.real),
        repetition_ms=protocol.repetition_ms,
        textures=() if rng is None else draw_texture(rng),
    )


def draw_texture(rng: np.random.Generator) -> tuple[Texture, ...]:
    """Grain of marrow and fat; lumps of tumours and brain; strands of muscle."""
    grain, lumps, strands = (np.zeros(len(Tissue)) for _ in range(3))
    grain[Tissue.MARROW] = rng.uniform(0.10, 0.22)
    grain[Tissue.FAT] = rng.uniform(0.03, 0.09)
    grain[Tissue.MUCOSA] = grain[Tissue.SKIN] = 0.12
    grain[Tissue.MODIOLUS] = 0.3
    grain[Tissue.EFFUSION] = 0.15
    grain[Tissue.VEIN] = rng.uniform(0.03, 0.12)
    # Tracts and nuclei: a real pons varies by 8 % over 2-4 mm beside its noise.
    lumps[list(BRAIN)] = rng.uniform(0.03, 0.07)
    grain[list(BRAIN)] = rng.uniform(0.01, 0.04)
    # Eddies and strands of arachnoid, which mottle the cisterns of real scans.
    grain[Tissue.CSF] = rng.uniform(0.02, 0.08)
    lumps[Tissue.TUMOUR] = rng.uniform(0.08, 0.20)
    lumps[Tissue.TUMOUR_CORE] = rng.uniform(0.10, 0.20)
    lumps[Tissue.TUMOUR_CYST] = rng.uniform(0.02, 0.08)
    lumps[Tissue.EDEMA] = 0.05
    strands[Tissue.MUSCLE] = rng.uniform(0.12, 0.25)
    fine, coarse = rng.uniform(0.6, 1.0), rng.uniform(1.0, 2.5)
    return (
        Texture((fine, fine, fine), grain),
        Texture((coarse, coarse, coarse), lumps),
        Texture((0.8, 4.0, 3.0), strands),  # the chewing muscles' fibres run back and down
    )


def _affected_ear(rng: np.random.Generator) -> float:
    """Cochlear signal on the tumour's side falls in a third of patients (Wagner 2018)."""
    return float(rng.uniform(0.3, 0.8)) if rng.random() < 0.33 else 1.0


def _set_blood(
    rng: np.random.Generator, protocol: Protocol, water: Values, gadolinium: bool
) -> None:
    """Flowing blood: void on spin echoes, mostly so on CISS, bright by inflow on ceT1."""
    brain, fluid = water[Tissue.PONS, 0], water[Tissue.CSF]
    if isinstance(protocol, Mprage | SpoiledGradient):
        water[Tissue.ARTERY] = brain * rng.uniform(2.0, 3.0)
        water[Tissue.VEIN] = brain * (rng.uniform(1.8, 2.3) if gadolinium else 0.9)
        return
    void = bounded_normal(rng, 0.02, 0.02, 0.0, 0.05)
    bright = isinstance(protocol, BalancedSsfp) and rng.random() < 0.25
    water[Tissue.ARTERY] = fluid * (rng.uniform(0.6, 1.2) if bright else void)
    slow = rng.random() < 0.3  # sinuses: mostly void, in places slow and grey
    water[Tissue.VEIN] = fluid * (rng.uniform(0.15, 0.5) if slow else rng.uniform(0.02, 0.12))


def _vary_tumour(rng: np.random.Generator, water: Values, *, banded: bool) -> None:
    """hrT2: most tumours as their T2 says, some dark as brain, a few of bSSFP's bright.

    bSSFP after gadolinium brightens a tumour by T2/T1; a turbo spin echo does not.
    """
    kind = rng.random()
    if kind < 0.2:
        wanted = water[Tissue.GREY, 0] * rng.uniform(0.85, 1.1)
    elif kind < 0.3 and banded:
        wanted = water[Tissue.CSF, 0] * rng.uniform(0.5, 0.75)
    else:
        return
    factor = wanted / water[Tissue.TUMOUR, 0]
    for tissue in TUMOUR_ROWS:
        water[tissue] = np.minimum(water[tissue] * factor, 0.9 * water[Tissue.CSF])
