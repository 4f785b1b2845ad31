"""The level and the roughness of each tissue in one window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.acquisition.sites import SITES, draw_setup
from meatus_phantom.random_streams import SEEDS
from meatus_phantom.signal.physics import physics_appearance
from meatus_phantom.tissues import Tissue
from meatus_phantom.windows.settings import LookSettings, RenderSettings, chance, log_uniform

Table = NDArray[np.float32]  # (T,), in the order of ``Tissue``

BRAIN = [
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.PONS,
    Tissue.CEREBELLAR_CORTEX,
    Tissue.CEREBELLAR_WHITE,
    Tissue.DENTATE,
    Tissue.NERVE,
]
TUMOUR = [Tissue.TUMOUR, Tissue.TUMOUR_CORE]
EAR = [Tissue.PERILYMPH, Tissue.PERILYMPH_AFFECTED]
ROUGH = [Tissue.MARROW, Tissue.FAT, Tissue.MUCOSA, Tissue.MUSCLE, Tissue.BONE, Tissue.DURA]
FAINTEST_EAR = 0.2  # what is darker, nobody sees in bone
WANDER = 0.12  # SD of the logarithm by which physics' levels are off


@dataclass(frozen=True)
class Look:
    """Levels against fluid (CSF 1), and the SDs of fine and of coarse texture in each tissue."""

    level: Table
    fine: Table
    coarse: Table
    plug: float  # the level of the part in the canal against the tumour's
    pockets: float = 0.0  # share of the tumour that is pockets of ``pocket_level``
    pocket_level: float = 1.0


def draw_look(rng: np.random.Generator, settings: RenderSettings) -> Look:
    """A look of random levels, or one that a site's sequence gives, with its own tumour."""
    rules = settings.look
    if chance(rng, rules.random_share):
        level = _random_levels(rng, rules)
    else:
        level = _physical_levels(rng, settings)
        if chance(rng, rules.tumour_chance):
            _set_tumour(level, tumour_level(rng, _brain_level(level), rules))
    level[Tissue.TUMOUR_CYST] = cyst_level(rng, level[Tissue.TUMOUR])
    fine, coarse = _roughness(rng)
    plug = log_uniform(rng, *rules.plug) if chance(rng, rules.plug_chance) else 1.0
    if rules.dim_ear_chance and chance(rng, rules.dim_ear_chance):
        level[EAR] = np.maximum(level[EAR] * log_uniform(rng, *rules.dim_ear), FAINTEST_EAR)
    pockets = rules.pockets_chance and chance(rng, rules.pockets_chance)
    return Look(
        level.astype(np.float32),
        (fine * level).astype(np.float32),
        (coarse * level).astype(np.float32),
        plug,
        rng.uniform(*rules.pocket_share) if pockets else 0.0,
        rng.uniform(*rules.pocket_level) if pockets else 1.0,
    )


def _physical_levels(rng: np.random.Generator, settings: RenderSettings) -> NDArray[np.float64]:
    site = settings.sites[int(rng.integers(len(settings.sites)))]
    setup = draw_setup(SITES[site], "hrT2", int(rng.integers(SEEDS)))
    appearance = physics_appearance(rng, setup.protocol, setup.field_tesla, setup.gadolinium)
    level: NDArray[np.float64] = np.array([appearance.level(tissue) for tissue in Tissue])
    level = level / max(level[Tissue.CSF], 1e-6) * np.exp(rng.normal(0, WANDER, len(Tissue)))
    level[Tissue.CSF] = 1
    return level


def _brain_level(level: NDArray[np.float64]) -> float:
    """Of the brain next to the tumour."""
    return float(level[[Tissue.PONS, Tissue.CEREBELLAR_CORTEX, Tissue.CEREBELLAR_WHITE]].mean())


def tumour_level(rng: np.random.Generator, brain: float, rules: LookSettings) -> float:
    """From darker than ``brain`` to nearly fluid (1), whatever the sequence makes of brain."""
    if chance(rng, 0.5):
        return min(brain * log_uniform(rng, *rules.tumour_to_brain), rules.nearly_fluid)
    return float(rng.uniform(min(brain, rules.nearly_fluid), rules.nearly_fluid))


def cyst_level(rng: np.random.Generator, tumour: float) -> float:
    """Between a ``tumour``'s level and fluid's, or, of old blood, darker."""
    bright = chance(rng, 0.85)
    return float(rng.uniform(max(0.45, tumour), 1.1) if bright else tumour * rng.uniform(0.4, 0.9))


def tumour_roughness(rng: np.random.Generator) -> tuple[float, float]:
    """Relative SDs of a tumour's fine and coarse texture: smooth at times, mottled at others."""
    fine = rng.uniform(0, 0.22) if chance(rng, 0.6) else rng.uniform(0, 0.06)
    coarse = rng.uniform(0, 0.3) if chance(rng, 0.6) else rng.uniform(0, 0.06)
    return float(fine), float(coarse)


def _set_tumour(level: NDArray[np.float64], wanted: float) -> None:
    """Give the tumour the level ``wanted``; its core keeps its contrast to it."""
    level[TUMOUR] *= wanted / max(float(level[Tissue.TUMOUR]), 1e-6)


def _random_levels(rng: np.random.Generator, rules: LookSettings) -> NDArray[np.float64]:
    """Levels that T2-weighting leaves open: fluid bright, bone and air dark, the rest free."""
    level = np.zeros(len(Tissue))
    brain, spread = log_uniform(rng, 0.1, 0.7), rng.uniform(0, 0.25)
    level[BRAIN] = brain * np.exp(rng.uniform(-spread, spread, len(BRAIN)))
    level[Tissue.NERVE] = brain * rng.uniform(0.75, 1.35)
    level[Tissue.EDEMA] = min(0.95, brain * rng.uniform(1, 1.7))
    level[Tissue.CSF] = 1
    level[Tissue.PERILYMPH] = rng.uniform(0.7, 1.1)
    affected = 1.0 if chance(rng, 0.5) else rng.uniform(0.35, 1.05)
    level[Tissue.PERILYMPH_AFFECTED] = level[Tissue.PERILYMPH] * affected
    level[Tissue.TUMOUR] = tumour_level(rng, _brain_level(level), rules)
    level[Tissue.TUMOUR_CORE] = min(0.95, level[Tissue.TUMOUR] * rng.uniform(0.65, 1.4))
    level[Tissue.MICROBLEED] = level[Tissue.TUMOUR] * rng.uniform(0, 0.5)
    level[Tissue.BONE] = rng.uniform(0, 0.07) if chance(rng, 0.8) else rng.uniform(0.03, 0.25)
    level[Tissue.MODIOLUS] = level[Tissue.BONE] + rng.uniform(0.03, 0.35)
    level[Tissue.AIR] = rng.uniform(0, 0.03)
    level[Tissue.ARTERY] = rng.uniform(0, 0.4) if chance(rng, 0.8) else rng.uniform(0.4, 1.2)
    level[Tissue.FRAME] = 1
    for tissue, low, high in (
        (Tissue.MARROW, 0.03, 0.9),
        (Tissue.FAT, 0.05, 1.3),
        (Tissue.SKIN, 0.05, 0.7),
        (Tissue.MUSCLE, 0.04, 0.5),
        (Tissue.DURA, 0.03, 0.5),
        (Tissue.MUCOSA, 0.2, 1.2),
        (Tissue.EFFUSION, 0.2, 1.15),
        (Tissue.VITREOUS, 0.5, 1.15),
        (Tissue.VEIN, 0.0, 0.9),
        (Tissue.LENS, 0.05, 0.5),
    ):
        level[tissue] = rng.uniform(low, high)
    return level


def _roughness(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative SDs (T,) of fine and of coarse texture."""
    fine, coarse = rng.uniform(0, 0.12, len(Tissue)), rng.uniform(0, 0.1, len(Tissue))
    fine[TUMOUR], coarse[TUMOUR] = tumour_roughness(rng)
    fine[ROUGH] = rng.uniform(0, 0.35, len(ROUGH))
    coarse[ROUGH] = rng.uniform(0, 0.35, len(ROUGH))
    fine[Tissue.CSF] = rng.uniform(0, 0.05)
    # Pulsating fluid loses signal in patches.
    coarse[Tissue.CSF] = rng.uniform(0, 0.08) if chance(rng, 0.75) else rng.uniform(0.08, 0.3)
    return fine, coarse
