"""Arteries and veins of the posterior fossa: what crosses the cistern beside the nerves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meatus_phantom.anatomy.ear.canal import canal_point
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.sides import curve, on_side, pipe
from meatus_phantom.parts import Part
from meatus_phantom.random_streams import bounded_normal, stream
from meatus_phantom.shapes import Vec
from meatus_phantom.tissues import Tissue

LOOP_SHARE = 0.48  # of ears with a loop about the nerves
# How deep the loop reaches by Chavda type, as parts of the canal's length, and how often.
CHAVDA = (((-0.35, -0.05), 0.60), ((0.05, 0.45), 0.30), ((0.52, 0.70), 0.10))


def vessel_parts(ears: tuple[Ear, Ear], seed: int) -> list[Part]:
    """Vertebral and basilar arteries, AICA on both sides, smaller vessels and veins."""
    rng = stream(seed, "vessels")
    trunk = _basilar_line(rng)
    parts = _trunk(trunk, rng)
    for ear in ears:
        own = stream(seed, "vessels", ear.side)
        # The basilar artery seldom runs in the midline: seen from the right its x is mirrored.
        lowered = [(ear.side * x, y, z) for x, y, z in trunk]
        side = [*_aica(ear.as_left(), lowered, own), *_others(lowered, own)]
        parts += [on_side(part, ear.side) for part in side]
    return parts


def _basilar_line(rng: np.random.Generator) -> list[Vec]:
    """From the union of the vertebrals to the tip, before the pons."""
    low, middle, high = (float(v) for v in rng.normal(0, (1.6, 1.7, 1.0)))
    ahead = 13.2 + float(rng.normal(0, 0.6))
    return curve(
        [(low, ahead - 4.0, -17.0), (middle, ahead - 0.3, -2.0), (high, ahead + 3.0, 17.0)], 10
    )


def _trunk(line: list[Vec], rng: np.random.Generator) -> list[Part]:
    radius = bounded_normal(rng, 1.65, 0.25, 1.1, 2.2)
    parts = [pipe(Tissue.ARTERY, line, [radius], soft=True)]
    balance = float(rng.uniform(0.7, 1.3))
    for side, width in ((1, radius * 0.8 * balance), (-1, radius * 0.8 * (2 - balance))):
        bow = 6.5 + float(rng.normal(0, 1.2))
        low = (side * 13.0, -6.0, -40.0)
        below = curve([line[0], (side * bow, 5.0, -28.0), low], 7)
        parts.append(pipe(Tissue.ARTERY, below, [width], soft=True))
    return parts


def _aica(ear: Ear, trunk: list[Vec], rng: np.random.Generator) -> list[Part]:
    """From the basilar artery round the pons to the nerves, and on to the flocculus."""
    radius = bounded_normal(rng, 0.5, 0.12, 0.25, 0.75)
    start = trunk[int(rng.integers(3, 6))]
    wave = rng.normal(0, 0.7, (4, 3))
    path = [
        start,
        _moved((9.0, 12.0, -4.5), wave[0]),
        _moved((14.5, 6.5, -5.0), wave[1]),
        _moved((19.0, 1.5, -4.0), wave[2]),
    ]
    if rng.random() < LOOP_SHARE:
        kinds = [reach for reach, _ in CHAVDA]
        low, high = kinds[int(rng.choice(3, p=[share for _, share in CHAVDA]))]
        depth = float(rng.uniform(low, high))
        radius = min(radius, 0.55)
        out = canal_point(ear, depth - 0.25, 0.9, -0.7)
        back = canal_point(ear, depth - 0.25, -1.3, -0.9)
        path += [out, canal_point(ear, depth, -0.2, -1.0), back]
    path += [_moved((20.0, -4.5, -5.5), wave[3]), (24.5, -10.5, -7.0), (30.0, -16.0, -9.0)]
    return [pipe(Tissue.ARTERY, curve(path, 26), [radius, 0.95 * radius, 0.7 * radius], soft=True)]


def _others(trunk: list[Vec], rng: np.random.Generator) -> list[Part]:
    """The superior cerebellar artery, PICA's loop, the petrosal vein and small strays."""
    shift = rng.normal(0, 1.0, (8, 3))
    x, y, z = trunk[-2]
    over = [_moved((10, 12, 13.5), shift[0]), _moved((17, 2, 12), shift[1])]
    superior = [(x, y, z), *over, (21.0, -8.0, 13.0)]
    under = [_moved((15, -2, -17), shift[2]), _moved((14, -8, -14), shift[3])]
    inferior = [(10.0, 2.0, -26.0), *under, (9.0, -14.0, -20.0)]
    petrosal = [(17, -4, 4), _moved((20, -1, 6), 0.6 * shift[4]), (24, 2, 7.5)]
    parts = [
        pipe(Tissue.ARTERY, curve(superior, 9), [float(rng.uniform(0.5, 0.8))], soft=True),
        pipe(Tissue.ARTERY, curve(inferior, 9), [float(rng.uniform(0.5, 0.9))], soft=True),
        pipe(Tissue.VEIN, curve(petrosal, 6), [float(rng.uniform(0.5, 1.0))], soft=True),
    ]
    for stray in range(int(rng.integers(1, 4))):
        start = rng.uniform((13, -6, -8), (18, 3, 6))
        end = start + rng.uniform((5, -6, -4), (9, 1, 4))
        middle = (start + end) / 2 + rng.normal(0, 1.2, 3)
        line = curve([_moved((0, 0, 0), p) for p in (start, middle, end)], 6)
        tissue = Tissue.VEIN if stray % 2 else Tissue.ARTERY
        parts.append(pipe(tissue, line, [float(rng.uniform(0.25, 0.5))], soft=True))
    return parts


def _moved(point: tuple[float, float, float], by: NDArray[np.float64]) -> Vec:
    return float(point[0] + by[0]), float(point[1] + by[1]), float(point[2] + by[2])
