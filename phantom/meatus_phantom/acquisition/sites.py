"""The challenge's sites: which sequences, grids (resolution, slab, tilt) and habits each has.

From the challenge's description and the public acquisition tables (docs/phantom.md); what those do
not say about the many British scanners (``ukm``) is an estimate within the challenge's extremes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from meatus.geometry import Geometry
from meatus_phantom.acquisition.setup import Deface, Modality, Setup, draw_effects
from meatus_phantom.random_streams import stream
from meatus_phantom.signal.sequences import (
    BalancedSsfp,
    Mprage,
    Protocol,
    SpoiledGradient,
    TurboSpinEcho,
)

FIELD_OF_VIEW_MM = (180.0, 230.0)
MOST_PIXELS = 512
MOST_SLICES = 160
CENTRE_Y_MM = 5.0  # a head's middle lies anterior of the line between the pori
AXIAL = np.eye(3)
# Columns: to the left, down, backwards.
CORONAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

Rng = np.random.Generator


@dataclass(frozen=True)
class Grids:
    """What a site's grids may be; one of ``matrices`` where it keeps to a few."""

    matrices: tuple[tuple[float, int], ...]  # pixel size in mm, pixels along x and y
    slices_mm: tuple[float, ...]
    slab_mm: tuple[float, float]
    in_plane_mm: tuple[float, float] = (0.4, 0.9)  # otherwise: pixel size, field of view drawn
    tilt_deg: float = 3.0  # largest; a slab is laid along the canals or the skull base
    coronal: float = 0.0  # probability


def draw_geometry(rng: np.random.Generator, grids: Grids) -> Geometry:
    """A grid whose slab holds the canals, with the offsets of a technician's planning."""
    coronal = rng.random() < grids.coronal
    pixel_mm, pixels = _in_plane(rng, grids)
    slice_mm = float(rng.choice(grids.slices_mm))
    slab_mm = rng.uniform(*grids.slab_mm)
    slices = min(max(round(slab_mm / slice_mm), 11), MOST_SLICES)
    pitch = float(np.clip(rng.normal(0, grids.tilt_deg / 2), -grids.tilt_deg, grids.tilt_deg))
    roll = float(np.clip(rng.normal(0, grids.tilt_deg / 6), -5, 5))
    turned = _turn(pitch, roll) @ (CORONAL if coronal else AXIAL)
    # The slab may be off the canals' level, never so far that they lie near its end.
    room_mm = max(slices * slice_mm / 2 - 12.0, 0.0)
    off_mm = float(np.clip(rng.normal(0, 5), -room_mm, room_mm))
    middle = np.array([rng.normal(0, 4), -CENTRE_Y_MM + rng.normal(0, 5), rng.normal(0, 2)])
    if coronal:
        middle = np.array([middle[0], rng.normal(0, 3), rng.normal(0, 12)])
    middle = middle + turned[:, 2] * off_mm
    half = np.array([(pixels - 1) * pixel_mm / 2] * 2 + [(slices - 1) * slice_mm / 2])
    origin = middle - turned @ half
    return Geometry(
        size=(pixels, pixels, slices),
        spacing_mm=(pixel_mm, pixel_mm, slice_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(v) for v in turned.ravel()),
    )


def _in_plane(rng: np.random.Generator, grids: Grids) -> tuple[float, int]:
    if grids.matrices:
        return grids.matrices[int(rng.integers(len(grids.matrices)))]
    low, high = grids.in_plane_mm
    pixel_mm = float(np.exp(rng.uniform(math.log(low), math.log(high))))
    view_mm = rng.uniform(*FIELD_OF_VIEW_MM)
    pixels = min(16 * round(view_mm / pixel_mm / 16), MOST_PIXELS)
    return round(pixel_mm, 4), pixels


def _turn(pitch_deg: float, roll_deg: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Rotation about the left-right axis, then about the other axis of the slab's plane."""
    a, b = math.radians(pitch_deg), math.radians(roll_deg)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    return np.asarray(about_x @ about_y)


@dataclass(frozen=True)
class Technique:
    """How a site makes one contrast: the sequence at a field strength, and its grids."""

    protocol: Callable[[Rng, float], Protocol]
    grids: Grids


@dataclass(frozen=True)
class Site:
    """A site's scanners, techniques and habits; the pairs are values and their probabilities."""

    name: str
    fields_tesla: tuple[tuple[float, float], ...]
    ce_t1: Technique
    hr_t2: Technique
    frame_probability: float
    deface: Callable[[Rng], Deface | None]
    resolved: tuple[float, float]  # share of the matrix that is acquired
    wrap_probability: float = 0.0
    hr_t2_gadolinium: float = 0.3  # probability that the hrT2 follows the agent


def draw_setup(site: Site, modality: Modality, seed: int) -> Setup:
    """One scan of ``site``: everything but the patient."""
    rng = stream(seed, "setup", site.name, modality)
    technique = site.ce_t1 if modality == "ceT1" else site.hr_t2
    values, chances = zip(*site.fields_tesla, strict=True)
    field_tesla = float(rng.choice(values, p=chances))
    protocol = technique.protocol(rng, field_tesla)
    geometry = draw_geometry(rng, technique.grids)
    wraps = rng.random() < site.wrap_probability
    return Setup(
        site=site.name,
        modality=modality,
        field_tesla=field_tesla,
        protocol=protocol,
        gadolinium=modality == "ceT1" or bool(rng.random() < site.hr_t2_gadolinium),
        geometry=geometry,
        effects=draw_effects(rng, protocol, field_tesla, geometry, site.resolved, wraps),
        frame=bool(rng.random() < site.frame_probability),
        deface=site.deface(rng),
    )


def _london_ce_t1(rng: Rng, _field_tesla: float) -> Protocol:
    # The challenge names MPRAGE; the public tables of this centre mostly list FLASH.
    if rng.random() < 0.5:
        return Mprage(1900, 1100, 2.97, 15, readouts=128, readout_spacing_ms=7.5)
    return SpoiledGradient(repetition_ms=11, echo_ms=4.76, flip_deg=20)


def _london_hr_t2(rng: Rng, _field_tesla: float) -> Protocol:
    if rng.random() < 0.25:
        return TurboSpinEcho(750, echo_ms=rng.uniform(105, 125), train_ms=200, drive=True)
    return BalancedSsfp(
        repetition_ms=float(rng.choice([9.4, 9.95])),
        echo_ms=4.3,
        flip_deg=rng.uniform(60, 70),
    )


def _tilburg_ce_t1(rng: Rng, _field_tesla: float) -> Protocol:
    return SpoiledGradient(repetition_ms=25, echo_ms=1.82, flip_deg=rng.uniform(27, 33))


def _tilburg_hr_t2(rng: Rng, _field_tesla: float) -> Protocol:
    return TurboSpinEcho(2700, echo_ms=rng.uniform(120, 160), train_ms=320)


def _british_ce_t1(rng: Rng, field_tesla: float) -> Protocol:
    kind = rng.random()
    if kind < 0.35 and field_tesla > 2:
        return Mprage(2000, 900, rng.uniform(2.2, 3.5), 9, readouts=160, readout_spacing_ms=7)
    if kind < 0.35:
        return Mprage(1900, 1100, rng.uniform(2.5, 4.0), 15, readouts=128, readout_spacing_ms=7.5)
    return SpoiledGradient(
        repetition_ms=rng.uniform(7, 25),
        echo_ms=rng.uniform(1.8, 4.8),
        flip_deg=rng.uniform(18, 30),
    )


def _british_hr_t2(rng: Rng, field_tesla: float) -> Protocol:
    kind = rng.random()
    if kind < 0.5:
        repetition_ms = rng.uniform(1500, 4000)
        return TurboSpinEcho(
            repetition_ms,
            echo_ms=rng.uniform(90, 250),
            train_ms=rng.uniform(200, 450),
            drive=bool(rng.random() < 0.5),
        )
    repetition_ms = rng.uniform(5, 6) if field_tesla > 2 else rng.uniform(5.5, 9.9)
    return BalancedSsfp(
        repetition_ms=repetition_ms,
        echo_ms=repetition_ms * 0.45,
        flip_deg=rng.uniform(45, 65),
        cycled=bool(kind < 0.85),
    )


def _unlike_hr_t2(rng: Rng, field_tesla: float) -> Protocol:
    """Echo times on both sides of what the sites use, and bSSFP with bands: see ``UNLIKE``."""
    kind = rng.random()
    if kind < 0.4:  # brain nearly black
        return TurboSpinEcho(
            rng.uniform(1200, 2500), echo_ms=rng.uniform(300, 500), train_ms=600, drive=True
        )
    if kind < 0.75:  # brain nearly as bright as fluid
        return TurboSpinEcho(rng.uniform(4000, 6000), echo_ms=rng.uniform(40, 70), train_ms=120)
    return BalancedSsfp(11.0, 5.0, flip_deg=rng.uniform(25, 35), cycled=False)


def _grey_blur(rng: Rng) -> Deface | None:
    return Deface("blur", rng.uniform(72, 84), rng.uniform(45, 60), grey=rng.uniform(1.2, 1.8))


def _cut(rng: Rng) -> Deface | None:
    # Sides slant from |x| 45 at the border to 50 at y +100.
    return Deface("cut", rng.uniform(74, 82), 45.0, slant=0.23, tilt_deg=rng.uniform(-3, 3))


def _any_or_none(rng: Rng) -> Deface | None:
    kind = rng.random()
    return None if kind < 0.4 else _cut(rng) if kind < 0.7 else _grey_blur(rng)


SITES = {
    site.name: site
    for site in (
        Site(
            name="ldn",
            fields_tesla=((1.5, 0.97), (3.0, 0.03)),
            ce_t1=Technique(
                _london_ce_t1, Grids(((0.4, 512), (0.41, 512)), (1.0, 1.5, 1.5), (60, 100))
            ),
            hr_t2=Technique(
                _london_hr_t2, Grids(((0.5, 384), (0.5, 448)), (1.0, 1.5, 1.5), (36, 80))
            ),
            frame_probability=0.8,
            deface=_grey_blur,
            resolved=(0.75, 1.0),
        ),
        Site(
            name="etz",
            fields_tesla=((1.5, 1.0),),
            ce_t1=Technique(_tilburg_ce_t1, Grids(((0.8, 256), (0.82, 256)), (1.5,), (60, 100))),
            hr_t2=Technique(_tilburg_hr_t2, Grids(((0.4, 512), (0.41, 512)), (1.0,), (36, 80))),
            frame_probability=0.8,
            deface=_cut,
            resolved=(0.6, 0.85),
        ),
        Site(
            name="ukm",
            fields_tesla=((1.0, 0.06), (1.5, 0.62), (3.0, 0.32)),
            ce_t1=Technique(
                _british_ce_t1,
                Grids(
                    (),
                    (0.8, 1.0, 1.0, 1.5, 2.0, 3.0, 3.5),
                    (32, 100),
                    in_plane_mm=(0.35, 0.86),
                    tilt_deg=15,
                    coronal=0.15,
                ),
            ),
            hr_t2=Technique(
                _british_hr_t2,
                Grids(
                    (),
                    (0.5, 0.6, 0.8, 1.0, 1.0, 1.5, 2.0, 3.0),
                    (25, 60),
                    in_plane_mm=(0.3, 0.9),
                    tilt_deg=25,
                    coronal=0.1,
                ),
            ),
            frame_probability=0.0,
            deface=_any_or_none,
            resolved=(0.5, 0.9),
            wrap_probability=0.25,
            hr_t2_gadolinium=0.2,
        ),
    )
}

# A cohort to validate on that is unlike all that training draws: other looks, coarser and finer
# grids, steeper tilts. Never trained on.
UNLIKE = Site(
    name="oth",
    fields_tesla=((1.5, 0.5), (3.0, 0.5)),
    ce_t1=SITES["ukm"].ce_t1,
    hr_t2=Technique(
        _unlike_hr_t2,
        Grids(
            (),
            (0.4, 2.5, 4.0),
            (30, 70),
            in_plane_mm=(0.25, 1.1),
            tilt_deg=40,
            coronal=0.2,
        ),
    ),
    frame_probability=0.0,
    deface=_any_or_none,
    resolved=(0.35, 0.6),
    wrap_probability=0.5,
)
ALL_SITES = SITES | {UNLIKE.name: UNLIKE}
