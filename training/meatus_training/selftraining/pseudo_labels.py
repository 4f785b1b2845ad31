"""Pseudo-labels of a round: the ensemble so far labels each real scan, cleaned, repaired, judged.

They are kept on the disk and read back to choose from.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from meatus.atomic import write_whole
from meatus.components import LabelMap
from meatus.engines.devices import choose
from meatus.ensemble import Model, Quality, predict
from meatus.errors import DeviceError
from meatus.geometry import Array, Geometry
from meatus.intensity import BLACK
from meatus.io.images import write_labels
from meatus.pipeline import load_model
from meatus.postprocess import Box, clean
from meatus.spec import SliceNormalisation, VolumeNormalisation
from meatus.structures import Structure
from meatus.volumes import Labels, Prepared
from meatus_phantom.array_files import array_bytes
from meatus_training.errors import TrainingError
from meatus_training.export.manifest import write_manifest
from meatus_training.export.onnx_export import export_onnx
from meatus_training.prepare.cases import PreparedCase
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.run_context import RunContext
from meatus_training.selftraining.repair import (
    Change,
    repair,
    with_doubtful_tumour,
    without_fluid,
)
from meatus_training.selftraining.select import Selection, Verdict, select
from meatus_training.selftraining.settings import SelftrainSettings

LABELS, VERDICT = ".labels.npy", ".verdict.json"
# Label maps to look at and to score, on the prepared grid: before and after the repair.
CLEANED, REPAIRED = "cleaned", "repaired"


@dataclass(frozen=True)
class Record:
    """What is known of a labelled scan; written last, so that its files are whole."""

    verdict: Verdict
    changes: tuple[Change, ...]


_RECORD = TypeAdapter(Record)


def label_cohort(
    cases: Sequence[PreparedCase],
    model: Model,
    settings: SelftrainSettings,
    folder: Path,
    context: RunContext,
) -> None:
    """Write the pseudo-labels of ``cases`` and what is thought of them to ``folder``.

    Scans that are there already stay; each process of ``context`` takes its share.
    """
    mine = [cases[number] for number in context.share(len(cases))]
    todo = [case for case in mine if not (folder / f"{case.name}{VERDICT}").exists()]
    for number, case in enumerate(todo, start=1):
        context.check_stop(f"the labelling of {case.name}")
        found = pseudo_labels(case.name, case.load_voxels(), case.geometry, model, settings)
        _write(found, case, folder)
        model.release()
        context.say(f"[{number}/{len(todo)}] {case.name}: {_in_words(found.selection.verdict)}")


def read_verdicts(cases: Sequence[PreparedCase], folder: Path) -> tuple[Verdict, ...]:
    """Of every case, in order. Raises ``TrainingError`` where one is missing."""
    return tuple(_read(folder / f"{case.name}{VERDICT}").verdict for case in cases)


def labels_file(case: PreparedCase, folder: Path) -> Path:
    """(Z, Y, X) uint8, ``IGNORE`` where the ensemble was unsure."""
    return folder / f"{case.name}{LABELS}"


def _write(found: Pseudo, case: PreparedCase, folder: Path) -> None:
    for kind, voxels in ((CLEANED, found.cleaned), (REPAIRED, found.repaired)):
        (folder / kind).mkdir(exist_ok=True)
        write_labels(
            Labels(np.ascontiguousarray(voxels), case.geometry),
            folder / kind / f"{case.name}.nii.gz",
        )
    write_whole(labels_file(case, folder), array_bytes(found.selection.labels))
    record = Record(found.selection.verdict, found.changes)
    write_whole(folder / f"{case.name}{VERDICT}", _RECORD.dump_json(record))


def _read(path: Path) -> Record:
    try:
        return _RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(
            f"{path}: cannot be read; delete {path.parent} and run the command again."
        ) from error


def _in_words(verdict: Verdict) -> str:
    if verdict.keep:
        return f"plausible, confidence {verdict.confidence:.2f}"
    return f"refused: {'; '.join(verdict.reasons)}"


def publish(networks: Sequence[Path], folder: Path) -> None:
    """Write the checkpoints ``networks`` as weights for ``inference``.

    Each is called as its own folder. Raises ``WeightsError`` where one cannot be read.
    """
    for file in folder.glob("*.onnx"):
        file.unlink()  # of an interrupted start: the manifest must name these networks alone
    for file in networks:
        network, spec, _ = load_checkpoint(file)
        export_onnx(network, spec, folder / f"{file.parent.name}.onnx")
    write_manifest(folder, {})


def check_labelling(fabric: Fabric) -> None:
    """Raise ``TrainingError`` where ``load_teacher`` will have no GPU to label on."""
    if fabric.device.type == "cpu":
        return
    try:
        choose("cuda", print)
    except DeviceError as error:
        raise _no_teacher("self-training", error) from error


def load_teacher(folder: Path, quality: Quality, fabric: Fabric) -> Model:
    """The ensemble in ``folder``, on the device on which this process of ``fabric`` trains.

    Raises ``TrainingError`` where that is a GPU on which ONNX Runtime does not run: processors
    would take days for what was planned for GPUs.
    """
    threads = torch.get_num_threads()
    if fabric.device.type == "cpu":
        return load_model(folder, device="cpu", quality=quality, threads=threads)
    gc.collect()
    torch.cuda.empty_cache()  # what the training has set aside, ONNX Runtime cannot use
    try:
        gpu = fabric.device.index or 0
        return load_model(folder, device="cuda", quality=quality, threads=threads, gpu=gpu)
    except DeviceError as error:
        raise _no_teacher(str(folder), error) from error


def _no_teacher(what: str, error: DeviceError) -> TrainingError:
    return TrainingError(
        f"{what} cannot label scans on the GPU that trains: {error}. Put that right, or run "
        "selftrain with --accelerator cpu."
    )


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
    changes: tuple[Change, ...] = ()
    levels = as_measured(image, model.spec.normalisation)
    whole = found
    if settings.tumour_p < 1:
        whole = with_doubtful_tumour(
            levels, probabilities, whole, geometry, settings.tumour_p, settings.repair
        )
    if settings.drops_fluid:  # before cleaning, which chooses among tumours, and fluid is none
        whole = without_fluid(levels, whole, geometry, settings.repair)
    repaired = cleaned if whole is found else clean(Labels(whole, geometry), settings.clean).voxels
    original = np.where(whole != found, found, cleaned)
    if settings.repairs:
        mended = repair(levels, repaired, geometry, settings.repair)
        changes = mended.changes
        sure = chosen_p(probabilities, repaired) >= settings.sure_p
        repaired = np.where(sure, repaired, mended.labels)
    # Judged by what the scan shows: an ear that lies in the padding is not missed.
    box = shown_box(image)
    part = select(
        case,
        probabilities[:, *box],
        repaired[box],
        part_of(geometry, box),
        settings.select,
        original=original[box],
        grown=((whole != found) & (found == Structure.BACKGROUND))[box],
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
