"""Appearance of random class brightness, as SynthSeg samples it (Billot et al., MedIA 2023)."""

from __future__ import annotations

import numpy as np

from meatus_phantom.signal.appearance import Appearance, Texture
from meatus_phantom.tissues import Tissue

# Tissues that no sequence tells apart by much share a mean; each then wanders a little.
GROUPS: tuple[tuple[Tissue, ...], ...] = (
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
WANDER = 0.08  # relative SD within a group


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Class means U(25, 225), SDs U(5, 25); air dark as in every scan, bone so in half of them."""
    mean, sd = np.zeros(len(Tissue)), np.zeros(len(Tissue))
    for group in GROUPS:
        shared, spread = rng.uniform(25, 225), rng.uniform(5, 25)
        for tissue in group:
            mean[tissue] = max(shared * (1 + WANDER * rng.normal()), 1.0)
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
