"""One case of a cohort: a subject, a scanner, a stored scan and the truth.

Some scans are without a skull, as skull stripping leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from meatus.geometry import Geometry
from meatus_phantom.acquisition.acquire import acquire
from meatus_phantom.acquisition.frame import add_frame, frame_parts
from meatus_phantom.acquisition.setup import Modality, Setup, Value
from meatus_phantom.acquisition.sites import ALL_SITES, draw_setup
from meatus_phantom.anatomy.tumour.lesions import DIFFICULT, LesionMix
from meatus_phantom.contours.read import Patient
from meatus_phantom.random_streams import stream
from meatus_phantom.scene import Scene, make_scene
from meatus_phantom.signal.appearance import Appearance, random_appearance
from meatus_phantom.signal.physics import physics_appearance
from meatus_phantom.subject import Subject, draw_subject
from meatus_phantom.tissues import Tissue

CPU = torch.device("cpu")
MARGIN_MM = (0.5, 2.0)  # that brain extraction leaves about the brain

BRAIN_TISSUES = (
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.PONS,
    Tissue.CEREBELLAR_CORTEX,
    Tissue.CEREBELLAR_WHITE,
    Tissue.DENTATE,
    Tissue.EDEMA,
)
BRIDGED_MM = 4.0  # clefts up to twice as wide count as brain: sulci and folia


@dataclass(frozen=True)
class Recipe:
    """What the cases of a cohort are drawn from."""

    mix: LesionMix = field(default_factory=LesionMix)
    random_share: float = 0.3  # of scans whose class intensities are random instead of physical
    stripped_share: float = 0.0  # of scans without a skull
    difficult_share: float = 0.0  # of subjects whose tumours are of those found last

    def mix_of(self, subject_seed: int) -> LesionMix:
        """What the tumours of that subject are drawn from."""
        rng = stream(subject_seed, "difficult")
        return DIFFICULT if rng.random() < self.difficult_share else self.mix


@dataclass(frozen=True)
class Case:
    """A stored scan, its truth and what was drawn."""

    voxels: NDArray[np.int16]  # (Z, Y, X)
    labels: NDArray[np.uint8]  # (Z, Y, X), the numbers of ``Structure``
    tissues: NDArray[np.uint8]  # (Z, Y, X), the dominant ``Tissue``
    geometry: Geometry
    drawn: dict[str, Value]


def make_case(
    subject_seed: int,
    scan_seed: int,
    site: str,
    modality: Modality,
    recipe: Recipe,
    patients: Sequence[Patient] = (),
    device: torch.device = CPU,
) -> Case:
    """Subject ``subject_seed``, scanned at ``site`` in ``modality``.

    The same seeds give the same voxels on one kind of device. ``patients`` are the real contours
    that its tumours may follow.
    """
    subject = draw_subject(subject_seed, recipe.mix_of(subject_seed), patients)
    setup = draw_setup(ALL_SITES[site], modality, scan_seed)
    return render_case(subject, setup, scan_seed, recipe, device)


def render_case(
    subject: Subject, setup: Setup, scan_seed: int, recipe: Recipe, device: torch.device = CPU
) -> Case:
    """``subject`` in the scan that ``setup`` describes."""
    appearance, kind = _appearance(setup, recipe, scan_seed)
    scene = make_scene(
        subject,
        setup.rendered,
        appearance,
        setup.effects,
        setup.protocol.echo_ms,
        scan_seed,
        device,
    )
    if setup.frame:
        rods = frame_parts(stream(scan_seed, "frame"))
        add_frame(scene.signal, setup.rendered, rods, appearance.level(Tissue.FRAME))
    voxels = acquire(scene.signal, setup, scan_seed)
    labels, tissues = _on_file_grid(scene, setup)
    drawn = {"appearance": kind, **_describe(subject), **setup.describe(), **appearance.describe()}
    case = Case(voxels, labels, tissues, setup.geometry, drawn)
    rng = stream(scan_seed, "stripped")
    return _stripped(case, rng) if rng.random() < recipe.stripped_share else case


def _stripped(case: Case, rng: np.random.Generator) -> Case:
    """``case`` without what brain extraction cuts away: voxels and labels there are 0."""
    brain = brain_mask(case.tissues, case.geometry, float(rng.uniform(*MARGIN_MM)))
    return replace(
        case, voxels=case.voxels * brain, labels=case.labels * brain, tissues=case.tissues * brain
    )


def _appearance(setup: Setup, recipe: Recipe, seed: int) -> tuple[Appearance, str]:
    rng = stream(seed, "appearance")
    if rng.random() < recipe.random_share:
        return random_appearance(rng), "random"
    protocol, field_tesla = setup.protocol, setup.field_tesla
    return physics_appearance(rng, protocol, field_tesla, setup.gadolinium), "physics"


def _on_file_grid(scene: Scene, setup: Setup) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and tissues without the border that was rendered for wrap-around."""
    width = setup.effects.wrap_voxels
    inner = slice(width, -width or None)
    window = (slice(None), inner) if setup.effects.read_along_x else (..., inner)
    return scene.labels.cpu().numpy()[window], scene.tissues.cpu().numpy()[window]


def _describe(subject: Subject) -> dict[str, Value]:
    row: dict[str, Value] = {"atrophy": round(subject.atrophy, 4)}
    for name, values in (("scale", subject.space.scale), ("shift_mm", subject.space.shift_mm)):
        row |= {f"{name}_{axis}": round(v, 4) for axis, v in zip("xyz", values, strict=True)}
    row |= subject.lesions.describe()
    return row


def brain_mask(
    tissues: NDArray[np.uint8], geometry: Geometry, margin_mm: float
) -> NDArray[np.bool_]:
    """Where ``tissues`` (Z, Y, X) are brain or fluid in and between it, and ``margin_mm`` about."""
    spacing_mm = geometry.spacing_mm[::-1]
    brain = np.isin(tissues, BRAIN_TISSUES)
    if not brain.any():
        return brain
    bridged: NDArray[np.bool_] = ndimage.distance_transform_edt(~brain, spacing_mm) <= BRIDGED_MM
    if bridged.all():
        return bridged
    depth_mm: NDArray[np.float64] = ndimage.distance_transform_edt(bridged, spacing_mm)
    kept = [ndimage.binary_fill_holes(plane) for plane in depth_mm > BRIDGED_MM - margin_mm]
    return np.stack(kept)
