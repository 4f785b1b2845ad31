"""Pseudo-labels of one real scan: predicted, cleaned, repaired, judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.ensemble import Model, predict
from inference.geometry import Array, Geometry
from inference.postprocess import LabelMap, clean
from inference.spec import SliceNormalisation, VolumeNormalisation
from inference.volumes import Labels, Prepared
from training.selftrain.repair import Change, repair
from training.selftrain.select import Selection, select
from training.selftrain.settings import SelftrainSettings


@dataclass(frozen=True)
class Pseudo:
    """What self-training makes of one scan; all maps (Z, Y, X)."""

    cleaned: LabelMap  # as inference would give them, on the prepared grid
    repaired: LabelMap
    selection: Selection
    changes: tuple[Change, ...]


def pseudo_labels(
    case: str,
    voxels: NDArray[np.float16],
    geometry: Geometry,
    model: Model,
    settings: SelftrainSettings,
) -> Pseudo:
    """Label the prepared scan ``voxels`` (Z, Y, X) with the ensemble of the round before."""
    image = np.asarray(voxels, dtype=np.float32)
    probabilities = predict(Prepared(image, geometry, geometry), model).voxels
    found = probabilities.argmax(axis=0).astype(np.uint8)
    cleaned = clean(Labels(found, geometry), settings.clean).voxels
    repaired = cleaned
    changes: tuple[Change, ...] = ()
    if settings.repairs:
        levels = as_measured(image, model.spec.normalisation)
        mended = repair(levels, cleaned, geometry, settings.repair)
        repaired, changes = mended.labels, mended.changes
        sure = chosen_p(probabilities, cleaned) >= settings.sure_p
        repaired = np.where(sure, cleaned, repaired)
    selection = select(case, probabilities, repaired, geometry, settings.select, original=cleaned)
    return Pseudo(cleaned, repaired, selection, changes)


def chosen_p(probabilities: Array, labels: LabelMap) -> Array:
    """(Z, Y, X): of ``probabilities`` (C, Z, Y, X) that of each voxel's own label."""
    own: Array = np.take_along_axis(probabilities, labels[None].astype(np.intp), axis=0)[0]
    return own


def as_measured(image: Array, rule: SliceNormalisation | VolumeNormalisation) -> Array:
    """``image`` in [-1, 1] on a scale on which a voxel of two halves lies midway between them.

    That is how ``repair`` finds edges, and what a normalisation with a power changes.
    """
    if isinstance(rule, SliceNormalisation) or rule.power == 1:
        return image
    unit = np.clip((image + 1) / 2, 0, 1)
    return np.asarray(unit ** (1 / rule.power), dtype=np.float32)
