"""Which scans of a working folder a segmentation trains on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from meatus.atomic import write_whole
from meatus.geometry import largest_share_labels
from meatus.io.images import read_label_map
from meatus.structures import CLASS_NAMES
from meatus_phantom.array_files import array_bytes
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, Split, read_prepared
from meatus_training.segmentation.samples import TrainingSample
from meatus_training.segmentation.settings import Source

LABELS, IMAGE = ".labels.npy", "_Label.nii.gz"
CORRECTED = "_corrected.nii.gz"  # of 'meatus view'
VOXELS = ".voxels.npy"
STYLE = "--"  # between a translated case and its style


def select_samples(
    work: Path, on: Source, labels: Path | None, cache: Path
) -> list[TrainingSample]:
    """Scans of ``work`` with their own labels, or those of the folder ``labels``.

    Labels that lie on the scans' own grids (``<case>_Label.nii.gz``, ``<case>_corrected.nii.gz``)
    are brought onto the prepared ones and kept in ``cache``. Of a folder with corrected ones, the
    scans that nobody corrected are left out. Raises ``TrainingError`` where something is missing.
    """
    split = split_of(on)
    cases = [case for case in read_prepared(work / "prepared") if case.split == split]
    if not cases:
        raise TrainingError(f"{work / 'prepared'} holds no {split} scan; prepare some first.")
    if labels is None and on == "target":
        raise TrainingError("hrT2 scans bear no labels; name a folder of them with --labels.")
    if labels is not None and any(labels.glob(f"*{CORRECTED}")):
        cases = [case for case in cases if (labels / f"{case.name}{CORRECTED}").exists()]
        if not cases:
            raise TrainingError(f"{labels}: no {split} scan of {work} is corrected there.")
    known = [case.labels if labels is None else _labels(case, labels, cache) for case in cases]
    missing = [case.name for case, file in zip(cases, known, strict=True) if file is None]
    if missing:
        where = labels or work / "prepared"
        raise TrainingError(f"{where} lacks labels of {', '.join(missing)}.")
    pairs = [(case, file) for case, file in zip(cases, known, strict=True) if file is not None]
    if on == "translated":
        return translated_samples(work / "translated", pairs)
    return [
        TrainingSample(case.name, case.voxels, file, complete=case.complete) for case, file in pairs
    ]


def split_of(on: Source) -> Split:
    """The split whose scans those are."""
    return "target" if on == "target" else "source"


def translated_samples(
    folder: Path, pairs: Sequence[tuple[PreparedCase, Path]]
) -> list[TrainingSample]:
    """Every style of every source case, with the labels of the case."""
    found = [
        (case, labels, sorted(folder.glob(f"{case.name}{STYLE}*{VOXELS}")))
        for case, labels in pairs
    ]
    missing = [case.name for case, _, files in found if not files]
    if missing:
        raise TrainingError(
            f"{folder} lacks translations of {', '.join(missing)}; run the translate command."
        )
    return [
        TrainingSample(file.name.removesuffix(VOXELS), file, labels, complete=case.complete)
        for case, labels, files in found
        for file in files
    ]


def _labels(case: PreparedCase, folder: Path, cache: Path) -> Path | None:
    """The labels of ``case`` on its prepared grid; None where ``folder`` has none."""
    array, image, corrected = (
        folder / f"{case.name}{ending}" for ending in (LABELS, IMAGE, CORRECTED)
    )
    if corrected.exists():
        image = corrected
    elif array.exists():
        return array
    if not image.exists():
        return None
    kept = cache / f"{case.name}{LABELS}"
    if not kept.exists() or kept.stat().st_mtime < image.stat().st_mtime:
        found = read_label_map(image, dict(enumerate(CLASS_NAMES)))
        labels = largest_share_labels(found.voxels, found.geometry, case.geometry)
        write_whole(kept, array_bytes(labels))
    return kept
