"""Slices of source and target scans, in pairs that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from meatus.intensity import BLACK
from meatus.structures import TUMOUR, Structure
from meatus_training.errors import TrainingError
from meatus_training.runs.launch import outlive_signals
from meatus_training.translation.settings import TranslatorSettings

# Below this range of its values, which span [-1, 1], a slice shows nothing: the published code
# skips a range of 10 where a scan's maximum is about 1000.
MIN_RANGE = 0.02

Z_JITTER = 0.08  # of a scan's height: how far apart slices of the same place may lie

LABEL_EDGE = 0.7  # SD in voxels of the Gaussian that softens what labels change in a slice

Item = TypeVar("Item")
Voxel = TypeVar("Voxel", np.float16, np.uint8)
Place = tuple[float, float]  # shares of the way along y and x that a part may be moved


@dataclass(frozen=True)
class TranslationData:
    """Prepared scans (Z, Y, X) float16 in [-1, 1]; arrays may be mapped from files.

    ``labels`` (Z, Y, X) uint8 belong to ``source``, slice by slice; ``styles`` are the sites of
    ``target``, from 0, and are empty where the translator has one style. Raises ``TrainingError``
    where these do not fit one another. ``fingerprint`` changes with what is trained on.
    """

    source: Sequence[NDArray[np.float16]]
    labels: Sequence[NDArray[np.uint8]]
    target: Sequence[NDArray[np.float16]]
    styles: Sequence[int] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.source or not self.target:
            raise TrainingError(
                f"{len(self.source)} source and {len(self.target)} target scans: "
                "translation needs at least one of each; prepare them first."
            )
        if [len(scan) for scan in self.source] != [len(labels) for labels in self.labels]:
            raise TrainingError("the labels do not lie on the source scans' grids; prepare again.")
        if self.styles and len(self.styles) != len(self.target):
            raise TrainingError(
                f"{len(self.styles)} sites for {len(self.target)} target scans: name one for each."
            )


@dataclass(frozen=True)
class Chosen(Sequence[Item]):
    """Some of a sequence's items, each fetched when it is asked for."""

    of: Sequence[Item]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Chosen[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Chosen[Item]:
        if isinstance(index, slice):
            return Chosen(self.of, self.places[index])
        return self.of[self.places[index]]


class Pairs(NamedTuple):
    """Slices of source and target (N, C, size, size), each between its neighbours, if any."""

    source: Tensor
    target: Tensor
    styles: Tensor | None  # (N,), sites of the target; None where the translator has one style
    labels: Tensor  # (N, size, size) uint8, of the source's middle slices


class SlicePairs(Dataset[Pairs]):
    """Pair number k: a source slice, a target slice, and the target's style.

    Each is drawn from the seed and k alone, so that it does not matter which process draws it,
    nor whether the run was interrupted before.
    """

    def __init__(self, data: TranslationData, settings: TranslatorSettings) -> None:
        self.data, self.settings = data, settings
        self.source = _places(data.source, "source")
        self.target = _places(data.target, "target")
        self.labelled = self._with_structures()

    def __len__(self) -> int:
        return max(len(self.source), len(self.target))

    def __getitem__(self, number: int) -> Pairs:
        """A pair, without the axis N.

        Parts of slices come from the same place of both scans, as far as "the same share of the
        way from one border to the other" goes, and so does the height of a labelled slice: the
        two sides should differ in contrast, not in what they show.
        """
        rng = np.random.default_rng((self.settings.seed, number))
        labelled = rng.random() < self.settings.labelled_share
        wanted = self.labelled if labelled else self.source
        scan, z = wanted[rng.integers(len(wanted))]
        other, other_z = self.target[rng.integers(len(self.target))]
        if labelled:
            up = z / len(self.data.source[scan]) + rng.uniform(-Z_JITTER, Z_JITTER)
            other_z = self._slice_near(other, up * len(self.data.target[other]))
        style = self.data.styles[other] if self.data.styles else 0
        source, labels = (
            self._stack(self.data.source[scan], z),
            self._stack(self.data.labels[scan], z),
        )
        at = _place(labels[self.settings.neighbours] if labelled else None, self.settings.size, rng)
        image = self._fitted(with_target_contrast(source, labels, self.settings), at)
        marked = self._marked(labels, at)
        if rng.random() < 0.5:  # mirrored from side to side, as the target on its own
            image, marked = image.flip(-1), marked.flip(-1)
        real = self._fitted(self._stack(self.data.target[other], other_z), at)
        real = real.flip(-1) if rng.random() < 0.5 else real
        return Pairs(image, real, torch.tensor(style), marked)

    def _stack(self, scan: NDArray[Voxel], z: int) -> NDArray[Voxel]:
        """Slice ``z`` of (Z, Y, X) between its neighbours, (C, Y, X)."""
        return scan[neighbourhood(z, len(scan), self.settings.neighbours)]

    def _fitted(self, voxels: NDArray[np.floating], at: Place) -> Tensor:
        """(C, Y, X) to (C, size, size)."""
        image, size = torch.from_numpy(np.asarray(voxels, dtype=np.float32)), self.settings.size
        return zoomed(image, size) if self.settings.fit == "zoom" else _part(image, size, at, BLACK)

    def _marked(self, labels: NDArray[np.uint8], at: Place) -> Tensor:
        """Of labels (C, Y, X) those of the middle slice, (size, size)."""
        size, middle = self.settings.size, np.array(labels[self.settings.neighbours])
        if self.settings.fit == "zoom":
            return torch.from_numpy(nearest(middle, (size, size)))
        return _part(torch.from_numpy(middle)[None], size, at, int(Structure.BACKGROUND))[0]

    def _slice_near(self, scan: int, z: float) -> int:
        """Of the target scan's slices that show anything, the one nearest to ``z``."""
        heights = self.target[self.target[:, 0] == scan, 1]
        return int(heights[np.argmin(np.abs(heights - z))])

    def _with_structures(self) -> NDArray[np.int64]:
        if self.settings.labelled_share == 0:
            return self.source
        wanted = [place for place in self.source if self.data.labels[place[0]][place[1]].any()]
        return np.array(wanted) if wanted else self.source


def zoomed(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """(..., Y, X) drawn linearly to ``size``, outermost voxel centres on one another."""
    wanted = (size, size) if isinstance(size, int) else size
    if images.shape[-2:] == wanted:
        return images
    flat = images.reshape(-1, 1, *images.shape[-2:])
    out = F.interpolate(flat, wanted, mode="bilinear", align_corners=True)
    return out.reshape(*images.shape[:-2], *wanted)


def nearest(labels: NDArray[np.uint8], plane: tuple[int, ...]) -> NDArray[np.uint8]:
    """(..., Y, X) drawn to ``plane``, placed as ``zoomed`` places it."""
    rows, columns = (
        np.rint(np.linspace(0, extent - 1, wanted)).astype(np.intp)
        for extent, wanted in zip(labels.shape[-2:], plane, strict=True)
    )
    return np.ascontiguousarray(labels[..., rows[:, None], columns])


def neighbourhood(z: int, slices: int, reach: int) -> NDArray[np.int64]:
    """The 2 ``reach`` + 1 numbers about slice ``z``; the ends stand for what lies beyond."""
    return np.clip(np.arange(z - reach, z + reach + 1), 0, slices - 1)


def with_target_contrast(
    voxels: NDArray[np.floating], labels: NDArray[np.uint8], settings: TranslatorSettings
) -> NDArray[np.floating]:
    """``voxels`` (Z, Y, X) in [-1, 1], cochleae moved to white and the tumour to black.

    By ``settings``' shares of the way, slice by slice; ``labels`` may lie on another grid in the
    plane. So a translator need not find out by itself what changes its sign between contrasts.
    """
    if not (settings.bright_cochlea or settings.dark_tumour):
        return voxels
    marked = nearest(labels, voxels.shape[1:])
    changed = voxels.astype(np.float32)
    for mask, share, end in (
        (marked == Structure.COCHLEA, settings.bright_cochlea, 1.0),
        (np.isin(marked, TUMOUR), settings.dark_tumour, float(BLACK)),
    ):
        soft = ndimage.gaussian_filter(mask.astype(np.float32), (0, LABEL_EDGE, LABEL_EDGE))
        changed += share * soft * (end - changed)
    return changed


def step_batches(pairs: SlicePairs, steps: range, rank: int = 0, world: int = 1) -> Iterator[Pairs]:
    """Per step the share of process ``rank``."""
    settings = pairs.settings
    share = settings.batch // world
    starts = (step * settings.batch + rank * share for step in steps)
    numbers = (list(range(start, start + share)) for start in starts)
    return iter(
        DataLoader(
            pairs,
            batch_sampler=numbers,
            num_workers=settings.workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=outlive_signals,
        )
    )


def _places(scans: Sequence[NDArray[np.float16]], side: str) -> NDArray[np.int64]:
    """(slices, 2): scan and z of every slice that shows anything."""
    places = [
        (scan, z)
        for scan, voxels in enumerate(scans)
        for z in range(len(voxels))
        if np.ptp(voxels[z]) > MIN_RANGE
    ]
    if not places:
        raise TrainingError(f"every slice of the {side} scans is empty; prepare them again.")
    return np.array(places)


def _place(labels: NDArray[np.uint8] | None, size: int, rng: np.random.Generator) -> Place:
    """Where a part of ``size`` lies; it holds a labelled voxel of ``labels`` (Y, X), if any."""
    y, x = rng.random(2)
    marked = () if labels is None else np.argwhere(labels)
    if labels is None or not len(marked):
        return y, x
    shares = []
    voxel = marked[rng.integers(len(marked))]
    for share, centre, extent in zip((y, x), voxel, labels.shape, strict=True):
        room = extent - size
        first, last = max(centre - size + 1, 0), min(centre, room)
        shares.append((first + share * (last - first)) / room if room > 0 else share)
    return shares[0], shares[1]


def _part(image: Tensor, size: int, at: Place, missing: float) -> Tensor:
    """The part (C, size, size) of (C, Y, X) that lies ``at``; ``missing`` where there is none."""
    (top, rows), (left, columns) = (
        (round(share * lacking), lacking)
        for share, lacking in zip(at, (max(size - n, 0) for n in image.shape[1:]), strict=True)
    )
    image = F.pad(image, (left, columns - left, top, rows - top), value=missing)
    y, x = (round(share * (n - size)) for share, n in zip(at, image.shape[1:], strict=True))
    return image[:, y : y + size, x : x + size]
