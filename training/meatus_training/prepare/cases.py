"""Prepared scans as the later stages find them: arrays on disk, and one table of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from meatus.atomic import write_whole
from meatus.errors import first_fault
from meatus.geometry import Geometry
from meatus_training.dataset import Sample
from meatus_training.errors import TrainingError
from meatus_training.prepare.settings import PrepareSettings

Split = Literal["source", "target", "validation"]
Modality = Literal["ceT1", "hrT2"]

TABLE = "cases.json"
FORMAT = 1


@dataclass(frozen=True)
class PreparedCase:
    """One scan as the networks see it, and where it comes from."""

    name: str  # unique within its split
    split: Split
    site: str
    modality: Modality
    scan: Path  # the file it was made from
    voxels: Path  # (Z, Y, X) float16 in [-1, 1]
    labels: Path | None  # (Z, Y, X) uint8, numbers of Structure; of the source only
    size: tuple[int, int, int]  # (x, y, z) of the scan as it lies in its file, axial
    spacing_mm: tuple[float, float, float]  # likewise
    geometry: Geometry  # of the prepared arrays
    complete: bool  # whether the scan fills the field, and shows a whole head; see prepare.whole
    digest: str  # of the prepared arrays: the same for the same values
    slices: Path | None = None  # (Z, size, size) float16 in [-1, 1], for the translator

    @property
    def files(self) -> list[Path]:
        """Its arrays."""
        return [file for file in (self.voxels, self.labels, self.slices) if file is not None]

    def load_voxels(self) -> NDArray[np.float16]:
        """(Z, Y, X) in [-1, 1], memory-mapped, read-only."""
        return _mapped(self.voxels)

    def load_slices(self, size: int) -> NDArray[np.float16]:
        """(Z, size, size) as they were cut from the scan, or, of other sizes, its voxels."""
        if self.slices is None:
            return self.load_voxels()
        slices = _mapped(self.slices)
        return slices if slices.shape[-1] == size else self.load_voxels()

    def load_labels(self) -> NDArray[np.uint8]:
        """(Z, Y, X), memory-mapped, read-only. Raises ``TrainingError`` where there are none."""
        if self.labels is None:
            raise TrainingError(f"{self.name} ({self.split}) has no labels; train on the source.")
        return _mapped(self.labels)

    def sample(self) -> Sample:
        """Voxels and labels, memory-mapped. Raises ``TrainingError`` where it has no labels."""
        return Sample(self.load_voxels(), self.load_labels())


@dataclass(frozen=True)
class PreparedTable:
    """What ``cases.json`` holds; paths of arrays are relative to its folder."""

    settings: PrepareSettings
    cases: tuple[PreparedCase, ...]
    format: int = FORMAT


_TABLE = TypeAdapter(PreparedTable)
CASE = TypeAdapter(PreparedCase)


def write_prepared(folder: Path, settings: PrepareSettings, cases: Sequence[PreparedCase]) -> None:
    """Write the table of ``folder``, by split and name; equal cases give equal bytes."""
    order = sorted(cases, key=lambda case: (case.split, case.name))
    table = PreparedTable(settings, tuple(relative(case, folder) for case in order))
    write_whole(folder / TABLE, _TABLE.dump_json(table, indent=2) + b"\n")


def read_prepared(folder: Path) -> tuple[PreparedCase, ...]:
    """The cases of ``folder`` (WORK/prepared), by split and name.

    Raises ``TrainingError`` where there is no table, or an array of it is gone.
    """
    cases = tuple(absolute(case, folder) for case in read_table(folder).cases)
    files = [file for case in cases for file in case.files]
    gone = [file.name for file in files if not file.exists()]
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        raise TrainingError(
            f"{folder}: {', '.join(gone[:3])}{more} gone; run the prepare command again."
        )
    return cases


def read_table(folder: Path) -> PreparedTable:
    """The table of ``folder`` with the settings that made it, paths as they are written."""
    path = folder / TABLE
    try:
        table = _TABLE.validate_json(path.read_bytes())
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be read ({error.strerror}); run the prepare command first."
        ) from error
    except ValidationError as error:
        raise TrainingError(
            f"{path}: not a table of prepared scans {first_fault(error)}; "
            "run the prepare command again."
        ) from error
    if table.format != FORMAT:
        raise TrainingError(
            f"{path}: format {table.format}, expected {FORMAT}; run the prepare command again."
        )
    return table


def prepared_hash(cases: Sequence[PreparedCase]) -> str:
    """Sixteen hexadecimal digits of what ``cases`` hold, wherever they lie, in any order."""
    lines = sorted(f"{case.split}/{case.name}/{case.site}/{case.digest}" for case in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def relative(case: PreparedCase, folder: Path) -> PreparedCase:
    """``case`` with its arrays' paths relative to ``folder``."""
    labels, slices = (
        file.relative_to(folder) if file else None for file in (case.labels, case.slices)
    )
    return replace(case, voxels=case.voxels.relative_to(folder), labels=labels, slices=slices)


def absolute(case: PreparedCase, folder: Path) -> PreparedCase:
    labels, slices = (folder / file if file else None for file in (case.labels, case.slices))
    return replace(case, voxels=folder / case.voxels, labels=labels, slices=slices)


def _mapped(path: Path) -> NDArray[Any]:
    """The array in ``path``, of which only what is touched is read; it holds a file open."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(
            f"{path}: not a prepared array ({error}); run the prepare command again."
        ) from error
    return array
