"""How bright each tissue is in one scan, and the lookup that makes a signal of a tissue map.

Random class brightness is drawn as SynthSeg samples it (Billot et al., MedIA 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meatus.geometry import Geometry
from meatus_phantom.render import TissueMap
from meatus_phantom.signal.texture import Noise, draw_noise
from meatus_phantom.tissues import Tissue

Values = NDArray[np.float64]
DESCRIBED = (
    Tissue.CSF,
    Tissue.TUMOUR,
    Tissue.TUMOUR_CORE,
    Tissue.TUMOUR_CYST,
    Tissue.PERILYMPH,
    Tissue.PERILYMPH_AFFECTED,
    Tissue.MARROW,
    Tissue.FAT,
)
SLAB_VOXELS = 4_000_000  # looked up at a time, which bounds the memory

# Tissues that no sequence tells apart by much share a mean; each then wanders a little.
ALIKE: tuple[tuple[Tissue, ...], ...] = (
    (Tissue.AIR,),
    (Tissue.BONE, Tissue.MODIOLUS),
    (Tissue.MARROW,),
    (Tissue.FAT,),
    (Tissue.SKIN, Tissue.MUSCLE),
    (Tissue.DURA,),
    (Tissue.MUCOSA,),
    (Tissue.CSF, Tissue.PERILYMPH, Tissue.PERILYMPH_AFFECTED, Tissue.VITREOUS, Tissue.EFFUSION),
    (Tissue.GREY, Tissue.CEREBELLAR_CORTEX, Tissue.EDEMA),
    (Tissue.WHITE, Tissue.PONS, Tissue.CEREBELLAR_WHITE, Tissue.NERVE, Tissue.DENTATE),
    (Tissue.ARTERY,),
    (Tissue.VEIN,),
    (Tissue.LENS,),
    (Tissue.TUMOUR, Tissue.TUMOUR_CORE),
    (Tissue.TUMOUR_CYST,),
    (Tissue.MICROBLEED,),
    (Tissue.FRAME,),
)
GROUP_WANDER = 0.08  # relative SD within a group


@dataclass(frozen=True)
class Texture:
    """One random field and how strongly each tissue follows it (relative SD, (T,))."""

    sd_mm: tuple[float, float, float]  # of the field's kernel, along x, y, z
    strength: Values


@dataclass(frozen=True)
class Appearance:
    """The signal of every tissue (rows, in the order of ``Tissue``) in one scan.

    ``water`` has one column per bin of off-resonance phase: bin b of B stands for a precession of
    b / B turns per repetition. One bin where the sequence does not feel it.
    """

    water: Values  # (T, B)
    fat: Values  # (T, B): magnitude; separate, so that chemical shift can displace it
    fat_phase_rad: float  # of fat against water at the echo
    repetition_ms: float
    textures: tuple[Texture, ...]

    @property
    def brain(self) -> float:
        """On-resonance signal of the pons: what noise and scaling refer to."""
        return float(self.water[Tissue.PONS, 0])

    def level(self, tissue: Tissue) -> float:
        """On-resonance magnitude of ``tissue``."""
        fat = self.fat[tissue, 0] * np.exp(1j * self.fat_phase_rad)
        return float(abs(self.water[tissue, 0] + fat))

    def describe(self) -> dict[str, float]:
        """Brightness of the tissues that matter, relative to the pons."""
        return {
            f"{tissue.name.lower()}_to_brain": round(self.level(tissue) / max(self.brain, 1e-9), 3)
            for tissue in DESCRIBED
        }


@dataclass(frozen=True)
class Signal:
    """Water and fat (Z, Y, X) before the scanner's effects, both real."""

    water: Tensor
    fat: Tensor
    fat_phase_rad: float
    brain: float  # the pons' level


def draw_textures(
    rng: np.random.Generator, appearance: Appearance, geometry: Geometry, device: torch.device
) -> tuple[Noise, ...]:
    """The random fields of ``appearance`` over a scan, to be looked at on any of its subgrids."""
    # A kernel finer than half a voxel cannot be seen: coarser knots save memory.
    return tuple(
        draw_noise(rng, geometry, _at_least_half(texture.sd_mm, geometry.spacing_mm), device)
        for texture in appearance.textures
    )


def to_signal(
    tissues: TissueMap,
    appearance: Appearance,
    textures: Sequence[Tensor | None] = (),
    off_resonance_hz: Tensor | None = None,
) -> Signal:
    """Look up each voxel's two tissues and mix them by their share.

    ``textures`` are the appearance's fields (Z, Y, X) of unit variance, none for one that no tissue
    here follows; ``off_resonance_hz`` (Z, Y, X) is the field's error. Without them tissues are
    flat and on resonance.
    """
    count, bins = appearance.water.shape
    first, second = tissues.first.int().flatten(), tissues.second.int().flatten()
    main = torch.where(tissues.share.flatten() >= 0.5, first, second)
    if off_resonance_hz is not None and bins > 1:
        turns = off_resonance_hz.flatten() * (appearance.repetition_ms / 1000)
        offset = (torch.remainder(turns, 1.0) * bins + 0.5).int().remainder_(bins) * count
        first, second = first + offset, second + offset
    share = tissues.share.flatten()
    factor = torch.ones_like(share)
    for field, texture in zip(textures, appearance.textures, strict=bool(textures)):
        if field is not None:
            factor.addcmul_(field.flatten(), _look_up(texture.strength, main))
    factor.clamp_(min=0)
    mixed = []
    for table in (appearance.water, appearance.fat):
        under = _look_up(table, second)
        value = under.lerp_(_look_up(table, first), share)
        mixed.append(value.mul_(factor).reshape(tissues.share.shape))
    return Signal(mixed[0], mixed[1], appearance.fat_phase_rad, appearance.brain)


def render(
    tissues: TissueMap,
    geometry: Geometry,
    appearance: Appearance,
    textures: tuple[Noise, ...] = (),
    off_resonance_hz: Tensor | None = None,
) -> Signal:
    """``to_signal`` slab by slab, with the textures laid onto ``geometry`` (the map's grid)."""
    rows = max(1, SLAB_VOXELS // (geometry.size[0] * geometry.size[1]))
    water, fat = torch.empty_like(tissues.share), torch.empty_like(tissues.share)
    for start in range(0, geometry.size[2], rows):
        slab = slice(start, min(start + rows, geometry.size[2]))
        part = geometry.crop((0, 0, start), (*geometry.size[:2], slab.stop - start))
        here = TissueMap(tissues.first[slab], tissues.second[slab], tissues.share[slab])
        found = torch.bincount(here.dominant().flatten().int(), minlength=len(Tissue)).cpu() > 0
        followed = [bool(texture.strength[found.numpy()].any()) for texture in appearance.textures]
        signal = to_signal(
            here,
            appearance,
            [n.onto(part) if used else None for n, used in zip(textures, followed, strict=False)],
            None if off_resonance_hz is None else off_resonance_hz[slab],
        )
        water[slab], fat[slab] = signal.water, signal.fat
    return Signal(water, fat, appearance.fat_phase_rad, appearance.brain)


def _look_up(table: Values, index: Tensor) -> Tensor:
    """Values of a table (T,) or (T, B) at ``index`` = tissue + T * bin."""
    flat = np.ascontiguousarray(table.T, dtype=np.float32).ravel()
    return torch.from_numpy(flat).to(index.device).index_select(0, index)


def _at_least_half(
    sd_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    x, y, z = (max(sd, step / 2) for sd, step in zip(sd_mm, spacing_mm, strict=True))
    return x, y, z


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Class means U(25, 225), SDs U(5, 25); air dark as in every scan, bone so in half of them."""
    mean, sd = np.zeros(len(Tissue)), np.zeros(len(Tissue))
    for group in ALIKE:
        shared, spread = rng.uniform(25, 225), rng.uniform(5, 25)
        for tissue in group:
            mean[tissue] = max(shared * (1 + GROUP_WANDER * rng.normal()), 1.0)
            sd[tissue] = spread
    mean[Tissue.AIR], sd[Tissue.AIR] = rng.uniform(0, 10), rng.uniform(0, 3)
    if rng.random() < 0.5:
        mean[Tissue.BONE], sd[Tissue.BONE] = rng.uniform(0, 20), rng.uniform(0, 5)
    strength = np.minimum(sd / np.maximum(mean, 1.0), 0.5)
    size_mm = float(rng.uniform(0.5, 1.5))
    return Appearance(
        water=mean[:, None],
        fat=np.zeros((len(Tissue), 1)),
        fat_phase_rad=0.0,
        repetition_ms=1000.0,
        textures=(Texture((size_mm, size_mm, size_mm), strength),),
    )
