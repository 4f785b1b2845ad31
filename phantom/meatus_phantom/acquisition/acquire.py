"""From signal to stored scan: the scanner's effects in their physical order."""

from __future__ import annotations

import cmath

import numpy as np
import torch
from numpy.typing import NDArray

from meatus_phantom.acquisition.borders import blank, deface, to_int16
from meatus_phantom.acquisition.coil import receive_field
from meatus_phantom.acquisition.kspace import bright_level, through_k_space, with_ghosts
from meatus_phantom.acquisition.sampling import fold, shift_fat, slice_profile
from meatus_phantom.acquisition.setup import Setup
from meatus_phantom.random_streams import stream
from meatus_phantom.signal.appearance import Signal

CHUNK_VOXELS = 1_600_000  # transformed at a time, which bounds the memory


def acquire(signal: Signal, setup: Setup, seed: int) -> NDArray[np.int16]:
    """The stored scan (Z, Y, X) on ``setup.geometry`` of a signal on ``setup.rendered``."""
    effects, rendered, geometry = setup.effects, setup.rendered, setup.geometry
    device = signal.water.device
    generator = torch.Generator(device)
    generator.manual_seed(int(stream(seed, "noise").integers(2**62)))
    gain = receive_field(rendered, effects, stream(seed, "coil"), device)
    water = slice_profile(signal.water, effects.slice_fwhm)
    fat = slice_profile(shift_fat(signal.fat, rendered, effects), effects.slice_fwhm)
    turn = cmath.exp(1j * signal.fat_phase_rad)
    bright = bright_level(water)
    largest = float(torch.maximum(water.max(), fat.max()).clamp_min(1e-9))
    factor = min(effects.brain_value / signal.brain, effects.largest_value / largest)
    scan = np.empty(geometry.shape, dtype=np.int16)
    rows = max(1, CHUNK_VOXELS // (rendered.size[0] * rendered.size[1]))
    for start in range(0, len(scan), rows):
        slab = slice(start, min(start + rows, len(scan)))
        count = slab.stop - slab.start
        here = gain.onto(rendered.crop((0, 0, start), (*rendered.size[:2], count)))
        image = torch.complex(
            (water[slab] + turn.real * fat[slab]) * here, turn.imag * fat[slab] * here
        )
        image = with_ghosts(fold(image, effects), effects, bright)
        picture = through_k_space(
            image,
            effects,
            geometry.spacing_mm[:2],
            effects.noise_to_brain * signal.brain,
            generator,
        )
        part = geometry.crop((0, 0, start), (*geometry.size[:2], count))
        picture = deface(picture, part, setup.deface, signal.brain)
        picture = blank(picture, effects.blank_voxels)
        scan[slab] = to_int16(picture, factor)
    return scan
