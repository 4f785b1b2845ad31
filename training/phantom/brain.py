"""The brain in its fluid: temporal lobes, cerebellum, pons and fourth ventricle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference.geometry import Array
from training.phantom.appearance import Tissue
from training.phantom.shapes import Distance, Part, Plane, both, ellipsoid, remember, smooth_max

# Centre and reach of a window that holds the posterior fossa.
FOSSA = ((0.0, -26.0, -4.0), 50.0)


def posterior_fossa(rim_mm: float, front_mm: float, cistern_mm: float, taper: float) -> Distance:
    """The posterior fossa, or with fluid around it the brain inside.

    ``rim_mm`` of fluid laterally and behind, ``cistern_mm`` at the petrous bone's face;
    ``taper`` narrows the brainstem per millimetre below the pons.
    """
    outline = ellipsoid((0, -24, -4), (53 - rim_mm, 44 - rim_mm, 46 - rim_mm))

    def distance(plane: Plane) -> Array:
        lateral = np.abs(plane.x)
        below = taper * np.clip(-13 - plane.z, 0, None)
        gap = rim_mm * (1 + 0.4 * plane.lumps) + (cistern_mm + below) * np.clip(
            (44 - lateral) / 14, 0, 1
        )
        face = 0.636 * (lateral - 10) + 0.771 * (plane.y - 13) + gap
        face -= 1.5 * np.clip(plane.z - 9, 0, None)  # above the petrous ridge
        front = plane.y - (front_mm - below)
        return smooth_max(outline(plane), smooth_max(face, front, 5.0), 12.0)

    return distance


def _sulci(surface: Distance, depth_mm: float, width_mm: float) -> Distance:
    """Winding fissures in the outer ``depth_mm`` of a brain: zeros of a random field."""

    def distance(plane: Plane) -> Array:
        winding = 5.0 * np.abs(plane.lumps + 0.2 * plane.ripple) - width_mm / 2
        inside = surface(plane)
        return both(both(winding, inside), -inside - depth_mm)

    return distance


def temporal_lobes(rng: np.random.Generator, skull: Distance) -> list[Part]:
    """Temporal lobes in the middle fossae and the brain above the tentorium."""
    roof, rim, sulcus = rng.uniform(11, 17), rng.uniform(0.4, 1.6), rng.uniform(0.5, 1.8)
    lobe = ellipsoid((37, 27, 16), (22, 22, 28))

    def fossa(plane: Plane) -> Array:
        temporal = lobe(replace(plane, x=np.abs(plane.x)))
        above = roof + 0.15 * np.abs(plane.y + 20) - plane.z
        return smooth_max(np.minimum(temporal, above), skull(plane) + 5, 4.0)

    space = remember(fossa)

    def brain(plane: Plane) -> Array:
        return space(plane) + rim * (1 + 0.4 * plane.lumps)

    def white(plane: Plane) -> Array:
        return np.asarray(space(plane) + rim + 4 + 1.5 * plane.ripple)

    return [
        Part(Tissue.CSF, space),
        Part(Tissue.GREY, brain),
        Part(Tissue.WHITE, white),
        Part(Tissue.CSF, _sulci(brain, rng.uniform(8, 14), sulcus), opacity=0.8),
    ]


def hindbrain(rng: np.random.Generator, fossa: Distance) -> list[Part]:
    """Cerebellum, pons and fourth ventricle in their fluid."""
    cistern, taper = rng.uniform(3.5, 8), rng.uniform(0.3, 0.6)
    rim = rng.uniform(0.4, 1.6) if rng.uniform() < 0.75 else rng.uniform(1.6, 3)
    brain = remember(posterior_fossa(rim, rng.uniform(7, 12), cistern, taper))
    period, depth = rng.uniform(2.0, 3.4), rng.uniform(9, 18)
    core = ellipsoid((0, -6, 0), (17, 16, 22))

    def fissures(plane: Plane) -> Array:
        inside = brain(plane)
        wave = np.cos((inside + 0.5 * plane.lumps + 0.3 * plane.ripple) * (2 * np.pi / period))
        stripes = (0.55 - wave - 0.4 * plane.lumps) * (period / 6)
        shallow = both(inside, -inside - depth)
        return both(both(stripes, shallow), 18 - np.hypot(plane.x, plane.y + 8))

    def white(plane: Plane) -> Array:
        return np.asarray(brain(plane) + depth + 2 * plane.ripple)

    def ventricle(plane: Plane) -> Array:
        outer = ellipsoid((0, -21, 0), (8.5, 7, 12))(plane)
        return both(outer, -ellipsoid((0, -26, -1), (6, 8.5, 11))(plane))

    return [
        Part(Tissue.CSF, fossa, *FOSSA),
        Part(Tissue.GREY, brain, *FOSSA),
        Part(Tissue.WHITE, white, *FOSSA),
        Part(Tissue.FISSURE, fissures, *FOSSA, opacity=rng.uniform(0.3, 0.9)),
        Part(Tissue.PONS, lambda plane: both(core(plane), brain(plane)), (0, -6, 0), 24),
        Part(Tissue.CSF, ventricle, (0, -21, 0), 14, opacity=rng.uniform(0.6, 1)),
    ]
