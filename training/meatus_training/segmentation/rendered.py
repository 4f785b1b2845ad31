"""Training windows rendered from phantoms' tissue maps, each from the seed and its number alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from meatus.spec import PhysicalCrop, VolumeNormalisation
from meatus.windows import filled_extent
from meatus_phantom.contours.read import Patient
from meatus_phantom.random_streams import stream
from meatus_phantom.tissue_maps import (
    SPACING_MM,
    TissueMaps,
    labelled_places,
    made,
    make_tissue_maps,
    open_map,
    tissue_maps,
    tumour_voxels,
)
from meatus_phantom.windows.look import Look, draw_look
from meatus_phantom.windows.render import render_window
from meatus_training.errors import TrainingError
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.launch import StoppedError
from meatus_training.segmentation.settings import SegmentSettings

BESIDE = 5  # niceness of the process that makes maps beside a training


@dataclass(frozen=True)
class Subjects:
    """Phantom subjects to render windows of, as scans ``prepared`` that way would show them.

    Raises ``TrainingError`` where windows cannot be rendered for such a preparation.
    """

    maps: TissueMaps
    prepared: PrepareSettings
    patients: tuple[Patient, ...] = ()  # whose contours the maps are drawn from

    def __post_init__(self) -> None:
        crop, normalisation = self.prepared.crop, self.prepared.normalisation
        fits = isinstance(crop, PhysicalCrop) and crop.spacing_mm >= SPACING_MM[0]
        if not fits or not isinstance(normalisation, VolumeNormalisation):
            raise TrainingError(
                f"phantoms are rendered for a physical crop of {SPACING_MM[0]} mm or more and a "
                f"normalisation by volume; the preset has {crop} and {normalisation}."
            )

    def file(self, number: int) -> Path:
        """The map of a subject, made here where the process that makes them is not so far."""
        return made(self.maps, self.patients, number)

    def large_tumours(self, count: int) -> list[int]:
        """The quarter of the first ``count`` subjects that have the largest tumours."""
        sizes = [tumour_voxels(self.file(number)) for number in range(count)]
        largest = np.argsort(sizes, kind="stable")[-max(count // 4, 1) :]
        return [int(number) for number in largest]

    def healthy(self, count: int) -> list[int]:
        """Those of the first ``count`` subjects that have no tumour."""
        return [number for number in range(count) if not tumour_voxels(self.file(number))]

    @property
    def fingerprint(self) -> str:
        return self.maps.fingerprint

    def __len__(self) -> int:
        """Windows have no end, and so there is no epoch."""
        return 0


def make_subjects(
    work: Path,
    settings: SegmentSettings,
    prepared: PrepareSettings,
    patients: Sequence[Patient],
    workers: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Subjects:
    """The subjects that ``settings`` describe.

    What is missing of their maps is made first, or, where subjects join by and by, by a process
    beside the training that ends with it. Raises ``StoppedError`` where ``should_stop`` came
    first, and ``TrainingError`` where a worker is killed or the disk refuses.
    """
    subjects = Subjects(
        tissue_maps(work / "tissue_maps", settings.phantoms.subjects, patients),
        prepared,
        tuple(patients),
    )
    first, last = settings.phantoms.shown(0), settings.phantoms.shown(settings.steps or sys.maxsize)
    there = make_tissue_maps(subjects.maps, patients, workers, first, should_stop)
    if there < first:
        raise StoppedError("the making of phantoms", f"{there} of {first}")
    if first < last:
        start_maker(subjects, last)
    return subjects


def start_maker(subjects: Subjects, count: int) -> None:
    """Make ``count`` maps in a process of its own, in the order in which subjects join."""
    job = (subjects.maps, subjects.patients, count)
    get_context("spawn").Process(target=_make_ahead, args=job, daemon=True).start()


def _make_ahead(maps: TissueMaps, patients: tuple[Patient, ...], count: int) -> None:
    os.nice(BESIDE)
    make_tissue_maps(maps, patients, 1, count)


def sees_whole_field(settings: SegmentSettings, step: int) -> bool:
    """Whether all windows of ``step`` are whole, where such steps are spread over the training."""
    drawn: float = stream(settings.seed, "whole", step).random()
    return drawn < settings.full_field_fraction


class RenderedWindows(Dataset[tuple[Tensor, Tensor, int]]):
    """Window number k of a training, whoever asks and however often it was interrupted."""

    def __init__(self, subjects: Subjects, settings: SegmentSettings) -> None:
        self.subjects, self.settings = subjects, settings

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        """Image (1, Z, Y, X) float32, labels (Z, Y, X) uint8, and the number.

        All windows of a step have one size, but for the black margins of narrow fields, which
        inference leaves out as well: a share of steps sees the whole field.
        """
        settings, prepared = self.settings, self.subjects.prepared
        whole_depth = settings.full_field_depth or settings.depth
        normalisation = prepared.normalisation
        assert isinstance(prepared.crop, PhysicalCrop)
        assert isinstance(normalisation, VolumeNormalisation)
        step = number // settings.batch
        whole = sees_whole_field(settings, step)
        columns, rows = prepared.crop.size
        rng = stream(settings.seed, "window", number)
        subject = self._subject(rng, step)
        window = render_window(
            open_map(self.subjects.file(subject)),
            labelled_places(self.subjects.file(subject)),
            (whole_depth, rows, columns) if whole else settings.patch,
            rng,
            settings.phantoms.render,
            normalisation,
            near=settings.foreground_oversampling,
            whole=whole,
            look=self._look_of(subject, rng),
            spacing_mm=prepared.crop.spacing_mm,
        )
        if settings.micro_batch > 1:  # windows of one pass have one size
            return window.image[None], window.labels, number
        along_y, along_x = filled_extent(window.image.numpy())  # as inference cuts them
        return window.image[None, :, along_y, along_x], window.labels[:, along_y, along_x], number

    def _subject(self, rng: np.random.Generator, step: int) -> int:
        """Any subject that has joined, or at times one of the largest tumours, or of none."""
        source = self.settings.phantoms
        shown = source.shown(step)
        some: list[int] = []
        if source.large_share or source.healthy_share:
            drawn = rng.random()
            if drawn < source.large_share:
                some = self.subjects.large_tumours(shown)
            elif drawn < source.large_share + source.healthy_share:
                some = self.subjects.healthy(shown)
        return some[int(rng.integers(len(some)))] if some else int(rng.integers(shown))

    def _look_of(self, subject: int, rng: np.random.Generator) -> Look | None:
        """One of the looks that the subject has; none where each window gets a fresh one."""
        render = self.settings.phantoms.render
        if not render.look.per_subject:
            return None
        chosen = int(rng.integers(render.look.per_subject))
        return draw_look(stream(self.settings.seed, "look", subject, chosen), render)
