"""Relaxation times and densities of every tissue at 1.5 and 3 T, and draws around them.

Means and ranges are those of docs/phantom.md (section 1, with its sources). Tissues that it does
not list carry the reason for their row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.random_streams import bounded_normal
from meatus_phantom.tissues import Tissue

Vector = NDArray[np.float64]
Row = tuple[float, ...]

FLUID_T2_STAR_MS = 600.0  # the longest T2*: even fluids dephase in the field of a head
R2_PER_R1 = 1.25  # transverse to longitudinal relaxivity of gadolinium agents
# L/mmol/s in plasma at 1.5 and 3 T: gadobutrol, gadoterate, gadoteridol (PMC6738537).
R1_OF_AGENTS = ((4.78, 4.97), (3.32, 3.00), (3.80, 3.28))

# T1 at 1.5 and 3 T, T2 at 1.5 and 3 T (ms), proton density, magnetisation-transfer factor in
# bSSFP, T1 after gadolinium at 1.5 and 3 T (ms). Where the source gives the last at 1.5 T alone,
# the value at 3 T is scaled as T1 itself.
_ROWS: dict[Tissue, Row] = {
    Tissue.AIR: (1000, 1000, 0.4, 0.4, 0.0, 1.0, 1000, 1000),
    Tissue.BONE: (1000, 1000, 0.4, 0.4, 0.0, 1.0, 1000, 1000),
    Tissue.MARROW: (450, 520, 100, 90, 0.75, 0.90, 420, 485),
    Tissue.FAT: (290, 370, 85, 75, 0.95, 1.0, 290, 370),
    # Dermis: water bound to collagen, little of it; it takes up some agent.
    Tissue.SKIN: (870, 1050, 38, 35, 0.65, 0.70, 720, 860),
    Tissue.MUSCLE: (1010, 1410, 40, 35, 0.80, 0.55, 800, 1050),
    Tissue.DURA: (900, 1100, 50, 45, 0.65, 0.80, 420, 480),
    Tissue.MUCOSA: (1200, 1500, 90, 80, 0.85, 0.85, 450, 520),
    # Fluid with protein: as a cyst, without uptake.
    Tissue.EFFUSION: (2500, 2700, 500, 450, 0.97, 1.0, 2500, 2700),
    Tissue.CSF: (4300, 4300, 2000, 1900, 1.0, 1.0, 4300, 4300),
    Tissue.PERILYMPH: (3800, 3900, 1400, 1300, 1.0, 1.0, 3800, 3900),
    Tissue.PERILYMPH_AFFECTED: (3800, 3900, 1400, 1300, 1.0, 1.0, 3800, 3900),
    # Bone with nerve and fluid in its pores: 15-40 % of perilymph's signal.
    Tissue.MODIOLUS: (3800, 3900, 1400, 1300, 0.28, 1.0, 3800, 3900),
    Tissue.GREY: (1100, 1500, 95, 90, 0.83, 0.75, 1050, 1400),
    Tissue.WHITE: (780, 950, 75, 70, 0.71, 0.62, 760, 920),
    Tissue.PONS: (830, 1030, 80, 74, 0.74, 0.65, 805, 1000),
    Tissue.CEREBELLAR_CORTEX: (1050, 1400, 95, 88, 0.83, 0.75, 1000, 1310),
    Tissue.CEREBELLAR_WHITE: (780, 950, 75, 70, 0.71, 0.62, 760, 920),  # as WHITE
    Tissue.DENTATE: (830, 1030, 65, 58, 0.74, 0.65, 805, 1000),  # as PONS, T2 shortened by iron
    # White matter with more free water: longer T1 and T2, less magnetisation transfer.
    Tissue.EDEMA: (1100, 1300, 125, 115, 0.82, 0.80, 1060, 1250),
    Tissue.NERVE: (820, 1080, 77, 75, 0.72, 0.65, 800, 1050),
    Tissue.ARTERY: (1440, 1700, 250, 120, 0.85, 1.0, 450, 480),  # static blood; flow comes later
    Tissue.VEIN: (1440, 1700, 250, 120, 0.85, 1.0, 450, 480),
    Tissue.VITREOUS: (4200, 4200, 1200, 1000, 0.99, 1.0, 4200, 4200),
    Tissue.LENS: (1100, 1400, 30, 27, 0.65, 0.80, 1100, 1400),  # dense protein, short T2
    Tissue.TUMOUR: (1300, 1600, 100, 90, 0.88, 0.85, 480, 560),
    # 0.15 mmol/L instead of 0.33: 1/T1 + 4 * 0.15 per second.
    Tissue.TUMOUR_CORE: (1300, 1600, 105, 95, 0.89, 0.88, 730, 820),
    Tissue.TUMOUR_CYST: (2500, 2700, 600, 550, 0.97, 1.0, 1900, 2052),
    Tissue.MICROBLEED: (900, 1100, 30, 22, 0.75, 0.80, 700, 850),  # haemosiderin
    Tissue.FRAME: (400, 450, 300, 280, 1.0, 1.0, 400, 450),  # doped water; brightness set apart
}
BRAIN = (
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.PONS,
    Tissue.CEREBELLAR_CORTEX,
    Tissue.CEREBELLAR_WHITE,
    Tissue.DENTATE,
    Tissue.NERVE,
)


@dataclass(frozen=True)
class Properties:
    """One value per ``Tissue`` in each array (T,)."""

    field_tesla: float
    t1_ms: Vector
    t2_ms: Vector
    t2_star_ms: Vector
    density: Vector
    transfer: Vector  # bSSFP signal left by magnetisation transfer
    t1_gadolinium_ms: Vector
    t2_train_ms: Vector  # in a TSE train, where J-coupling lengthens fat's T2

    def enhanced(self) -> Properties:
        """The same tissues some minutes after gadolinium."""
        uptake = 1 / self.t1_gadolinium_ms - 1 / self.t1_ms
        faster = R2_PER_R1 * np.maximum(uptake, 0)
        return replace(
            self,
            t1_ms=self.t1_gadolinium_ms,
            t2_ms=1 / (1 / self.t2_ms + faster),
            t2_star_ms=1 / (1 / self.t2_star_ms + faster),
            t2_train_ms=1 / (1 / self.t2_train_ms + faster),
        )


def mean_properties(field_tesla: float) -> Properties:
    """The table's means; between and beyond 1.5 and 3 T along a power of the field."""
    rows = np.array([_ROWS[tissue] for tissue in Tissue], dtype=np.float64)
    low, high = rows[:, [0, 2, 6]], rows[:, [1, 3, 7]]
    t1, t2, t1_after = (low * (high / low) ** np.log2(field_tesla / 1.5)).T
    in_train = t2.copy()
    in_train[Tissue.FAT] *= 110 / 85
    return Properties(
        field_tesla=field_tesla,
        t1_ms=t1,
        t2_ms=t2,
        t2_star_ms=np.minimum(0.7 * t2, FLUID_T2_STAR_MS),
        density=rows[:, 4],
        transfer=rows[:, 5],
        t1_gadolinium_ms=t1_after,
        t2_train_ms=in_train,
    )


def draw_properties(rng: np.random.Generator, field_tesla: float) -> Properties:
    """One subject's tissues: around the means, within the published ranges."""
    mean = _evened(mean_properties(field_tesla), rng.uniform(0.2, 0.7))
    count = len(Tissue)
    t1_factor = _near_one(rng, 0.03, count) * _brain_factor(rng, 0.04)
    t2_factor = _near_one(rng, 0.04, count) * _brain_factor(rng, 0.05)
    t1_factor[Tissue.TUMOUR] = rng.uniform(1050, 1700) / 1300
    t2_factor[Tissue.TUMOUR] = rng.uniform(80, 140) / 100
    t1_factor[Tissue.TUMOUR_CORE] = t1_factor[Tissue.TUMOUR]
    t2_factor[Tissue.TUMOUR_CORE] = t2_factor[Tissue.TUMOUR] * rng.uniform(0.95, 1.15)
    t2_factor[Tissue.TUMOUR_CYST] = np.exp(rng.uniform(np.log(300), np.log(1500))) / 600
    t2_factor[Tissue.MUSCLE] = rng.uniform(32, 45) / 40
    t1_factor[Tissue.FAT] = rng.uniform(240, 345) / 290
    t2_factor[Tissue.FAT] = rng.uniform(68, 110) / 85
    t1_factor[Tissue.MARROW] = rng.uniform(320, 550) / 450
    dark = rng.uniform(0.15, 0.40) / mean.density[Tissue.MODIOLUS]
    density = np.minimum(mean.density * _near_one(rng, 0.02, count), 1.0)
    density[Tissue.MODIOLUS] *= dark
    t1, t2 = mean.t1_ms * t1_factor, mean.t2_ms * t2_factor
    return replace(
        mean,
        t1_ms=t1,
        t2_ms=t2,
        t2_star_ms=np.minimum(rng.uniform(0.6, 0.8) * t2, FLUID_T2_STAR_MS),
        density=density,
        transfer=np.minimum(mean.transfer * _near_one(rng, 0.06, count), 1.0),
        t1_gadolinium_ms=_after_gadolinium(rng, mean, t1),
        t2_train_ms=mean.t2_train_ms * t2_factor,
    )


def _evened(tissues: Properties, share: float) -> Properties:
    """Cerebellar cortex and white matter drawn ``share`` of the way towards each other.

    Folia are thinner than a voxel in places, so that scans show less contrast than whole tissues
    would: measured on T2, all of the brain lies within 0.32 to 0.36 of CSF.
    """
    pair = [Tissue.CEREBELLAR_CORTEX, Tissue.CEREBELLAR_WHITE]

    def evened(values: Vector) -> Vector:
        nearer = values.copy()
        nearer[pair] = values[pair] * (values[pair].mean() / values[pair]) ** share
        return nearer

    return replace(
        tissues,
        t1_ms=evened(tissues.t1_ms),
        t2_ms=evened(tissues.t2_ms),
        t2_star_ms=evened(tissues.t2_star_ms),
        density=evened(tissues.density),
        transfer=evened(tissues.transfer),
        t1_gadolinium_ms=evened(tissues.t1_gadolinium_ms),
        t2_train_ms=evened(tissues.t2_train_ms),
    )


def _after_gadolinium(rng: np.random.Generator, mean: Properties, t1_ms: Vector) -> Vector:
    """T1 some minutes after 0.1 mmol/kg: the mean uptake varied, the tumour's by its own dose."""
    uptake = 1 / mean.t1_gadolinium_ms - 1 / mean.t1_ms
    dose = bounded_normal(rng, 1.0, 0.12, 0.7, 1.3)
    after = 1 / (1 / t1_ms + np.maximum(uptake, 0) * dose)
    low, high = R1_OF_AGENTS[int(rng.integers(len(R1_OF_AGENTS)))]
    r1 = low + (high - low) * min(max((mean.field_tesla - 1.5) / 1.5, 0.0), 1.0)
    for tissue, least, most in ((Tissue.TUMOUR, 0.2, 0.45), (Tissue.TUMOUR_CORE, 0.1, 0.2)):
        concentration = rng.uniform(least, most)  # mmol/L
        after[tissue] = 1 / (1 / t1_ms[tissue] + r1 * concentration / 1000)
    return after


def _near_one(rng: np.random.Generator, sd: float, count: int) -> Vector:
    return np.asarray(np.clip(rng.normal(1, sd, count), 1 - 2 * sd, 1 + 2 * sd))


def _brain_factor(rng: np.random.Generator, sd: float) -> Vector:
    """What age and water content change in all of a subject's brain alike."""
    factor = np.ones(len(Tissue))
    factor[list(BRAIN)] = bounded_normal(rng, 1.0, sd, 1 - 1.6 * sd, 1 + 1.6 * sd)
    return factor
