"""Which voxels and which cases of a prediction are good enough to learn from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from meatus.components import LabelMap, Mask
from meatus.geometry import Array, Geometry
from meatus.structures import CLASS_NAMES, Structure
from meatus_training.hard_examples import IGNORE
from meatus_training.selftraining.plausible import Anatomy, objections


@dataclass(frozen=True)
class SelectRules:
    """Limits on the probability of the chosen class, and what must hold of the anatomy."""

    voxel_p: float = 0.8  # below it a voxel is to be ignored
    case_p: tuple[float, float, float] = (0.8, 0.75, 0.75)  # mean p of extra, intra, cochlea
    most_ignored: float = 0.5  # share of a structure's voxels; more, and the case is no use
    anatomy: Anatomy = field(default_factory=Anatomy)


@dataclass(frozen=True)
class Verdict:
    """Whether to learn from a case, and why not."""

    case: str
    keep: bool
    reasons: tuple[str, ...]  # empty if kept
    confidence: float  # the least sure structure's mean p; 0 where nothing was found
    mean_p: tuple[float | None, float | None, float | None]  # extra, intra, cochlea; None: absent
    voxels: tuple[int, int, int]
    ignored: int  # voxels of the whole scan


@dataclass(frozen=True)
class Selection:
    """A verdict and the labels to train on, should the case be kept."""

    verdict: Verdict
    labels: LabelMap  # (Z, Y, X), ``IGNORE`` where unsure

    @property
    def ignore(self) -> Mask:
        """(Z, Y, X): the voxels that the loss must leave out."""
        return np.asarray(self.labels == IGNORE)


def select(
    case: str,
    probabilities: Array,
    labels: LabelMap,
    geometry: Geometry,
    rules: SelectRules = SelectRules(),
    original: LabelMap | None = None,
    grown: Mask | None = None,
) -> Selection:
    """Judge ``labels`` (Z, Y, X), as cleaned and repaired, by ``probabilities`` (C, Z, Y, X).

    A voxel counts as sure where its label's own probability reaches ``voxel_p``; so one that
    cleaning took from a sure structure becomes unsure. Where ``original``, the labels before
    repair, differ, the image has spoken and the voxel is kept whatever its probability. How sure
    the ensemble is of a structure is asked without what is ``grown`` (Z, Y, X), which it doubts by
    its nature, unless the structure has nothing else.
    """
    p = np.take_along_axis(probabilities, labels[None].astype(np.intp), axis=0)[0]
    unsure = p < rules.voxel_p
    if original is not None:
        unsure &= labels == original
    means, counts, reasons = [], [], []
    for structure, least in zip(list(Structure)[1:], rules.case_p, strict=True):
        mask = labels == structure
        count = int(np.count_nonzero(mask))
        core = mask if grown is None or grown[mask].all() else mask & ~grown
        mean = float(p[core].mean()) if count else None
        means.append(mean)
        counts.append(count)
        if mean is None:
            continue
        name, lost = CLASS_NAMES[structure], np.count_nonzero(unsure & mask) / count
        if mean < least:
            reasons.append(f"{name}: mean p {mean:.2f}, expected {least:.2f}")
        if lost > rules.most_ignored:
            reasons.append(f"{name}: {lost:.0%} of it unsure, at most {rules.most_ignored:.0%}")
    reasons += objections(labels, geometry, rules.anatomy)
    verdict = Verdict(
        case=case,
        keep=not reasons,
        reasons=tuple(reasons),
        confidence=min((mean for mean in means if mean is not None), default=0.0),
        mean_p=(means[0], means[1], means[2]),
        voxels=(counts[0], counts[1], counts[2]),
        ignored=int(np.count_nonzero(unsure)),
    )
    return Selection(verdict, np.where(unsure, np.uint8(IGNORE), labels))
