"""Pseudo-labels of one real scan: predicted, cleaned, repaired, judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from meatus.components import LabelMap
from meatus.ensemble import Model, predict
from meatus.geometry import Array, Geometry
from meatus.intensity import BLACK
from meatus.postprocess import Box, clean
from meatus.spec import SliceNormalisation, VolumeNormalisation
from meatus.volumes import Labels, Prepared
from meatus_training.selftraining.repair import Change, repair
from meatus_training.selftraining.select import Selection, select
from meatus_training.selftraining.settings import SelftrainSettings


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
    # Judged by what the scan shows: an ear that lies in the padding is not missed.
    box = shown_box(image)
    part = select(
        case,
        probabilities[:, *box],
        repaired[box],
        part_of(geometry, box),
        settings.select,
        original=cleaned[box],
    )
    labels = np.zeros_like(repaired)
    labels[box] = part.labels
    selection = replace(part, labels=labels)
    return Pseudo(cleaned, repaired, selection, changes)


def shown_box(image: Array) -> Box:
    """The smallest box about all that is not black; all of ``image`` (Z, Y, X) where all is."""
    boxes = ndimage.find_objects((image > BLACK).view(np.uint8))
    z, y, x = boxes[0] if boxes else (slice(0, extent) for extent in image.shape)
    return z, y, x


def part_of(geometry: Geometry, box: Box) -> Geometry:
    """The grid of the voxels in ``box`` (z, y, x)."""
    z, y, x = box
    size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    return geometry.crop((x.start, y.start, z.start), size)


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
