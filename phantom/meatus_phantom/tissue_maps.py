"""Tissue maps of subjects on the network's grid, kept on the disk: what windows are rendered from.

A map is one uint8 array (6, Z, Y, X): the numbers of the three commonest tissues of each voxel,
the shares of the first two (of 255; the third fills the rest), and the label. It depends on the
settings, the contours and the subject's number alone, is made once, and is read through the page
cache: a window costs a lookup, not a head.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool3d

from meatus.atomic import write_whole
from meatus.crop import head_centre
from meatus.geometry import Geometry
from meatus.service.parallel import in_parallel, one_thread_each
from meatus.structures import TUMOUR
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.array_files import array_bytes
from meatus_phantom.contours.read import Patient
from meatus_phantom.generate import MARGIN_MM, brain_mask
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import SEEDS, stream
from meatus_phantom.render import label, render_tissues, window_of
from meatus_phantom.scene import slabs, subdivided
from meatus_phantom.space import about_x, canonical, place
from meatus_phantom.subject import Subject, draw_subject
from meatus_phantom.tissues import Tissue

SPACING_MM = (0.5, 0.5, 1.0)  # x, y, z
SIZE = (312, 280, 40)  # x, y, z: the network's field of 144 x 128 mm and a margin to turn it in
FINER = (2, 2, 1)  # subdivisions along x, y, z about the ears
COMMONEST = 3  # tissues that a voxel keeps
FULL = 255  # share of a voxel that one tissue fills
OFF_CENTRE_MM = 4.0  # of the ears from the middle slice, at most
TILTED, TILT_DEG = 0.3, 10.0  # share of heads tilted more than scanners' habits, and SD of it
TUMOURS = (Tissue.TUMOUR, Tissue.TUMOUR_CORE, Tissue.TUMOUR_CYST)
COARSE = Geometry(size=(64, 72, 6), spacing_mm=(4.0, 4.0, 8.0), origin_mm=(-126.0, -142.0, -20.0))
CPU = torch.device("cpu")

Maps = NDArray[np.uint8]


@dataclass(frozen=True)
class SubjectSettings:
    """The subjects whose tissues are kept."""

    subjects: int = 300
    mix: LesionMix = field(default_factory=lambda: LesionMix(none=0.15, canal=0.2, operated=0.08))
    stripped_share: float = 0.15  # of heads without a skull, as brain extraction leaves them
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subjects < 1 or self.seed < 0:
            raise ValueError("subjects must be positive, seed not negative")
        if not 0 <= self.stripped_share <= 1:
            raise ValueError("stripped_share must lie within 0 and 1")


@dataclass(frozen=True)
class TissueMaps:
    """The maps of a cohort of subjects in a folder of its own."""

    folder: Path
    settings: SubjectSettings

    @property
    def fingerprint(self) -> str:
        return f"{self.folder.name}-{self.settings.subjects}"

    def file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"


def open_map(file: Path) -> Maps:
    """The map in ``file``, read as far as it is used."""
    found: Maps = np.load(file, mmap_mode="r")
    return found


def tissue_maps(folder: Path, settings: SubjectSettings, patients: Sequence[Patient]) -> TissueMaps:
    """The maps of ``settings`` below ``folder``; another number of subjects shares them."""
    names = sorted(patient.subject for patient in patients)
    told = repr((replace(settings, subjects=1), names, SIZE, SPACING_MM))
    return TissueMaps(folder / hashlib.sha256(told.encode()).hexdigest()[:16], settings)


def make_tissue_maps(
    maps: TissueMaps,
    patients: Sequence[Patient],
    workers: int,
    first: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Make the maps that are not there yet, side by side; returns how many are there in the end.

    Of the ``first`` subjects alone, where that is given; no further ones once ``should_stop``.

    Raises ``MeatusError`` where a worker is killed or the disk refuses.
    """
    count = maps.settings.subjects if first is None else min(first, maps.settings.subjects)
    missing = [n for n in range(count) if not maps.file(n).exists()]
    there = count - len(missing)
    job = partial(_make_one, maps, tuple(patients))
    with one_thread_each(), closing(in_parallel(job, missing, workers)) as made_maps:
        for _ in made_maps:
            there += 1
            if should_stop():
                break
    return there


def made(maps: TissueMaps, patients: Sequence[Patient], number: int) -> Path:
    """The file of subject ``number``, made now where it is not there."""
    if not maps.file(number).exists():
        _make_one(maps, tuple(patients), number)
    return maps.file(number)


def _make_one(maps: TissueMaps, patients: tuple[Patient, ...], number: int) -> None:
    torch.set_num_threads(1)
    write_whole(maps.file(number), array_bytes(subject_map(maps.settings, number, patients)))


def subject_map(settings: SubjectSettings, number: int, patients: Sequence[Patient]) -> Maps:
    """The map (6, Z, Y, X) of subject ``number``."""
    rng = stream(settings.seed, "tissue maps", number)
    subject = draw_subject(int(rng.integers(SEEDS)), settings.mix, patients)
    if rng.random() < TILTED:
        turn = about_x(math.radians(rng.normal(0, TILT_DEG))) @ subject.space.turn
        subject = replace(subject, space=replace(subject.space, turn=turn))
    rendered = render_subject(subject, _grid_about(subject, float(rng.uniform(-1, 1))))
    if rng.random() < settings.stripped_share:
        _strip(rendered, float(rng.uniform(*MARGIN_MM)))
    return rendered


def render_subject(subject: Subject, grid: Geometry) -> Maps:
    """The tissues and labels of ``subject`` on ``grid``, finer about the ears: (6, Z, Y, X)."""
    parts, boxes = subject.parts(), subject.fine_boxes()
    points = canonical(grid, subject.space, CPU)
    tissues = render_tissues(
        _outside(boxes, parts), points, min(grid.spacing_mm), subject.lesions.displace
    )
    rendered = np.zeros((2 * COMMONEST, *grid.shape), dtype=np.uint8)
    rendered[0], rendered[1] = tissues.first, tissues.second
    rendered[3] = (tissues.share * FULL).round().to(torch.uint8)
    rendered[4] = FULL - rendered[3]
    for box in boxes:
        window = window_of(points, box)
        if window is not None:
            _render_finely(rendered, subject, parts, grid, window)
    return rendered


def _render_finely(
    rendered: Maps,
    subject: Subject,
    parts: list[Part],
    grid: Geometry,
    window: tuple[slice, slice, slice],
) -> None:
    for slab in slabs(window, FINER):
        fine = subdivided(grid, slab, FINER)
        points = canonical(fine, subject.space, CPU)
        width_mm = float(np.cbrt(fine.voxel_mm3))
        tissues = render_tissues(parts, points, width_mm, subject.lesions.displace)
        shares = torch.zeros((len(Tissue), *fine.shape))
        shares.scatter_add_(0, tissues.first.long()[None], tissues.share[None])
        shares.scatter_add_(0, tissues.second.long()[None], 1 - tissues.share[None])
        numbers, most = _commonest(_pooled(shares))
        rendered[(slice(0, COMMONEST), *slab)] = numbers
        rendered[(slice(COMMONEST, 2 * COMMONEST - 1), *slab)] = most
        labels = _pooled(label(subject.marked(), points, width_mm))
        rendered[(2 * COMMONEST - 1, *slab)] = labels.argmax(0).to(torch.uint8)


def _pooled(values: Tensor) -> Tensor:
    return avg_pool3d(values[None], FINER[::-1])[0]


def _commonest(shares: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Numbers (3, Z, Y, X) of the commonest tissues, and the first two's shares of 255."""
    most, numbers = shares.topk(COMMONEST, dim=0)
    most = (most / most.sum(0, keepdim=True) * FULL).round()
    return numbers.to(torch.uint8).numpy(), most[:-1].to(torch.uint8).numpy()


def _grid_about(subject: Subject, off_centre: float) -> Geometry:
    """The map's grid about the head's centre, as the pipeline finds it, and the ears' level."""
    parts = _outside(subject.fine_boxes(), subject.parts())
    head = render_tissues(parts, canonical(COARSE, subject.space, CPU), COARSE.spacing_mm[0])
    filled = (head.dominant() != Tissue.AIR).numpy().astype(np.float32)
    x, y = head_centre(filled, COARSE)
    middle = COARSE.position_mm((x, y, 0))
    pori = [place(np.array([ear.porus]), subject.space)[0, 2] for ear in subject.ears]
    centre = (*middle[:2], float(np.mean(pori)) + off_centre * OFF_CENTRE_MM)
    origin = [c - (n - 1) / 2 * s for c, n, s in zip(centre, SIZE, SPACING_MM, strict=True)]
    return Geometry(size=SIZE, spacing_mm=SPACING_MM, origin_mm=(origin[0], origin[1], origin[2]))


def _outside(boxes: list[Box], parts: list[Part]) -> list[Part]:
    """The parts that reach beyond ``boxes``, which are rendered finely anyhow."""
    return [part for part in parts if not any(box.holds(part.box) for box in boxes)]


def _strip(rendered: Maps, margin_mm: float) -> None:
    """Leave brain and tumours alone, in place: elsewhere there is air and nothing is labelled.

    Tumours count as brain, as most extractions keep what lies against it: a rim of a tumour that
    was cut away would teach nothing.
    """
    grid = Geometry(size=SIZE, spacing_mm=SPACING_MM, origin_mm=(0.0, 0.0, 0.0))
    brain = np.where(np.isin(rendered[0], TUMOURS), Tissue.PONS, rendered[0]).astype(np.uint8)
    outside = ~brain_mask(brain, grid, margin_mm)
    rendered[:, outside] = 0
    rendered[COMMONEST, outside] = FULL


@lru_cache(maxsize=4096)
def tumour_voxels(file: Path) -> int:
    """How many voxels of the map ``file`` are tumour of either part."""
    return int(np.isin(np.load(file, mmap_mode="r")[-1], TUMOUR).sum())


@lru_cache(maxsize=1024)
def labelled_places(file: Path) -> tuple[NDArray[np.int16], ...]:
    """Some voxels (K, 3) of each structure in the map ``file``, for those that it shows."""
    labels = np.load(file, mmap_mode="r")[-1]
    found = []
    for structure in np.unique(labels[labels > 0]):
        places = np.argwhere(labels == structure).astype(np.int16)
        found.append(places[:: max(1, len(places) // 512)])
    return tuple(found)
