"""A tissue map small enough to render in a test, and settings that vary nothing."""

import numpy as np

from meatus.spec import VolumeNormalisation
from meatus_phantom.tissue_maps import FULL
from meatus_phantom.tissues import Tissue
from meatus_phantom.windows.look import Look
from meatus_phantom.windows.settings import (
    FieldSettings,
    GeometrySettings,
    LookSettings,
    RenderSettings,
    ScannerSettings,
)

STILL = GeometrySettings(
    scale=(1, 1),
    aspect=1,
    yaw_deg=0,
    pitch_deg=0,
    roll_deg=0,
    elastic_chance=0,
    slice_mm=((1, 1),),
    slice_chances=(1,),
)
PERFECT = ScannerSettings(
    bias_chance=0,
    blur_chance=0,
    coarse_chance=0,
    noise_chance=0,
    sharpen_chance=0,
    tone_chance=0,
    steps_chance=0,
)
OPEN = FieldSettings(repeat_chance=0, narrow_chance=0, slab_chance=0, ends_chance=0, hole_chance=0)
CALM = RenderSettings(STILL, LookSettings(), PERFECT, OPEN)
LINEAR = VolumeNormalisation(lower=0, upper=100, power=1)


def toy_map(shape=(12, 64, 64)):
    """Fluid with a block of brain, a tumour in two parts in it, and a fluid cochlea in bone."""
    rendered = np.zeros((6, *shape), np.uint8)
    rendered[0], rendered[3] = Tissue.CSF, FULL
    rendered[0, :, 10:40, 10:40] = Tissue.PONS
    rendered[0, 3:9, 20:30, 15:25] = Tissue.TUMOUR
    rendered[-1, 3:9, 20:30, 15:20] = 1
    rendered[-1, 3:9, 20:30, 20:25] = 2
    rendered[0, :, 44:60, 44:60] = Tissue.BONE
    rendered[0, :, 60:] = Tissue.AIR
    rendered[0, 4:8, 50:55, 50:55] = Tissue.PERILYMPH
    rendered[-1, 4:8, 50:55, 50:55] = 3
    return rendered


def toy_look(plug=1.0):
    level = np.zeros(len(Tissue), np.float32)
    level[[Tissue.CSF, Tissue.PERILYMPH]] = 1
    level[[Tissue.PONS, Tissue.TUMOUR]] = 0.25, 0.5
    level[Tissue.BONE] = 0.01  # the darkest but air, which normalisation takes to -1
    flat = np.zeros_like(level)
    return Look(level, flat, flat, plug)


def places_of(rendered):
    return tuple(np.argwhere(rendered[-1] == s).astype(np.int16) for s in (1, 2, 3))
