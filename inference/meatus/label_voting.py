"""The published fusion of eight flipped predictions: hard labels vote, voxel by voxel.

After the authors' code for "An Efficient Cross-Modal Segmentation Method for Vestibular
Schwannoma and Cochlea on MRI Images"; its numbers are voxels and slices, not millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meatus.appearance import appearance_of, shown_planes, without_empty_planes
from meatus.components import LabelMap, Mask, components
from meatus.ensemble import EIGHT_FLIPS, Flip, Model
from meatus.preprocess import prepare
from meatus.restore import restore_labels
from meatus.spec import Window
from meatus.structures import Structure
from meatus.timing import Stopwatch
from meatus.volumes import Prepared, Scan, Segmented
from meatus.windows import cut, plan

FLIPS = len(EIGHT_FLIPS)
TUMOUR_VOTES = 6  # more than 0.7 of eight
COCHLEA_VOTES = 5  # more than 0.5 of eight
TOO_DIFFERENT = 0.7  # above this disagreement no majority is trusted
NEAR_SLICES = 30  # how far from the intra-meatal tumour a cochlea may then lie
FALLBACK_VOXELS = 50  # a cochlea without a majority must be larger than this


@dataclass(frozen=True)
class Ballot:
    """How many of the eight predictions chose each structure, all (Z, Y, X)."""

    extra_meatal: NDArray[np.uint8]
    intra_meatal: NDArray[np.uint8]
    cochlea: NDArray[np.uint8]

    @property
    def tumour(self) -> NDArray[np.uint8]:
        return self.extra_meatal + self.intra_meatal

    @property
    def disagreement(self) -> float:
        """0 where all predictions mark the same voxels, towards 1 where they share none."""
        marked = self.tumour + self.cochlea
        shared = int(np.count_nonzero(marked == FLIPS))
        union = int(np.count_nonzero(marked))
        return (union - shared) / (shared + union + 1)

    @property
    def extra_meatal_leads(self) -> bool:
        """Whether voxels surely extra-meatal outnumber those possibly intra-meatal."""
        sure = np.count_nonzero(self.extra_meatal == FLIPS)
        return bool(sure > np.count_nonzero(self.intra_meatal))


def count(masks: NDArray[np.uint8]) -> Ballot:
    """Count the votes of ``masks`` (8, Z, Y, X), label maps flipped back to one grid."""
    extra, intra, cochlea = (
        np.zeros(masks.shape[1:], dtype=np.uint8),
        np.zeros(masks.shape[1:], dtype=np.uint8),
        np.zeros(masks.shape[1:], dtype=np.uint8),
    )
    for mask in masks:
        extra += mask == Structure.EXTRA_MEATAL
        intra += mask == Structure.INTRA_MEATAL
        cochlea += mask == Structure.COCHLEA
    return Ballot(extra, intra, cochlea)


def disagreement(masks: NDArray[np.uint8]) -> float:
    """How far ``masks`` (8, Z, Y, X) differ, from 0 (not at all, or all empty) towards 1."""
    return count(masks).disagreement


def segment_by_vote(scan: Scan, model: Model) -> Segmented:
    """Label ``scan`` as the published code does: eight flips, each with hard labels, vote.

    Windows follow one another without overlap. Unlike there, the crop is cut once and not
    anew for each flip, which may differ by a voxel.
    """
    watch = Stopwatch()
    with watch("prepare"):
        prepared = prepare(scan, model.spec)
    with watch("network"):
        votes = [_flipped_labels(prepared, flip, model) for flip in EIGHT_FLIPS]
    with watch("restore"):
        ballots = [restore_labels(labels, prepared, scan) for labels in votes]
        fused = vote(np.stack([ballot.voxels for ballot in ballots]))
        shown = shown_planes(scan.voxels)
        labels = without_empty_planes(replace(ballots[0], voxels=fused), shown)
        appearance = appearance_of(scan, labels, shown)
    return Segmented(labels, appearance=appearance, seconds=watch.seconds)


def _flipped_labels(prepared: Prepared, flip: Flip, model: Model) -> LabelMap:
    """The labels (Z, Y, X) that the members agree on for one flip, flipped back."""
    turned = np.flip(prepared.voxels, flip)
    window = Window(model.spec.window.depth, overlap=0)
    labels = np.zeros(turned.shape, dtype=np.uint8)
    for span in plan(len(turned), window):
        view = cut(turned, span, window.depth)
        total = sum(member(view) for member in model.members)
        labels[span.start : span.stop] = np.argmax(total, axis=0)[span.held]
    return np.flip(labels, flip)


def vote(masks: NDArray[np.uint8]) -> LabelMap:
    """Fuse ``masks`` (8, Z, Y, X), in any order, into one label map (Z, Y, X).

    All-empty predictions give an empty map.
    """
    ballot = count(masks)
    if ballot.disagreement > TOO_DIFFERENT:
        return _take_all(ballot)
    labels = _elect_tumour(ballot)
    labels[_elect_cochlea(ballot)] = Structure.COCHLEA
    labels[_stray_tumour(labels)] = Structure.BACKGROUND
    return labels


def _take_all(ballot: Ballot) -> LabelMap:
    """Whatever any prediction marked, but no cochlea far above or below the canal."""
    intra = ballot.intra_meatal > 0
    cochlea = ballot.cochlea > 0
    slices = np.flatnonzero(intra.any(axis=(1, 2)))
    if slices.size > 0:
        far = np.abs(np.arange(len(intra)) - slices.mean()) > NEAR_SLICES
        cochlea[far] = False
    labels = np.zeros(intra.shape, dtype=np.uint8)
    labels[ballot.extra_meatal > 0] = Structure.EXTRA_MEATAL
    labels[intra] = Structure.INTRA_MEATAL
    labels[cochlea] = Structure.COCHLEA
    return labels


def _elect_tumour(ballot: Ballot) -> LabelMap:
    """The tumour's majorities, the intra-meatal one in one piece.

    Voxels that are surely tumour but of no kept component go to the weaker label.
    """
    numbers, sizes = components(ballot.intra_meatal >= TUMOUR_VOTES)
    intra = (numbers > 0) & (numbers == np.argmax(sizes))
    weaker = Structure.INTRA_MEATAL if ballot.extra_meatal_leads else Structure.EXTRA_MEATAL
    labels = np.zeros(intra.shape, dtype=np.uint8)
    labels[ballot.tumour >= TUMOUR_VOTES] = weaker
    labels[ballot.extra_meatal >= TUMOUR_VOTES] = Structure.EXTRA_MEATAL
    labels[intra] = Structure.INTRA_MEATAL
    return labels


def _elect_cochlea(ballot: Ballot) -> Mask:
    """The cochlea's majority or, without any, every large enough component that one vote marks."""
    majority = ballot.cochlea >= COCHLEA_VOTES
    if majority.any():
        return majority
    numbers, sizes = components(ballot.cochlea > 0)
    return np.asarray((sizes > FALLBACK_VOXELS)[numbers])


def _stray_tumour(labels: LabelMap) -> Mask:
    """All tumour but its largest component, one with both labels before any with one."""
    extra, intra = labels == Structure.EXTRA_MEATAL, labels == Structure.INTRA_MEATAL
    numbers, sizes = components(extra | intra)
    both = np.intersect1d(numbers[extra], numbers[intra])
    if both.size > 0:
        eligible = np.zeros_like(sizes)
        eligible[both] = sizes[both]
        sizes = eligible
    return np.asarray((numbers > 0) & (numbers != np.argmax(sizes)))
