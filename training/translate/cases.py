"""Prepared scans as the translation trains on them: nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from training.prepare.cases import PreparedCase, prepared_hash
from training.translate.data import TranslationData

# The name of the only style.
ONE_STYLE = "hrT2"


@dataclass(frozen=True)
class MappedArrays(Sequence[NDArray[Any]]):
    """Arrays in .npy files, mapped anew at each access.

    So their number is not bounded by how many files a process may hold open, nor by memory, and
    to hand them to another process is to hand over their names.
    """

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> MappedArrays: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | MappedArrays:
        if isinstance(index, slice):
            return MappedArrays(self.files[index])
        array: NDArray[Any] = np.load(self.files[index], mmap_mode="r", allow_pickle=False)
        return array


def style_names(cases: Sequence[PreparedCase], styles: Literal["one", "by_site"]) -> list[str]:
    """The styles that a translator of ``cases`` has: one, or the sites of the target scans."""
    if styles == "one":
        return [ONE_STYLE]
    return sorted({case.site for case in cases if case.split == "target"})


def translation_data(cases: Sequence[PreparedCase], names: Sequence[str]) -> TranslationData:
    """Source and target scans of ``cases``, with the numbers of their sites among ``names``.

    Raises ``TrainingError`` where either side has none, or a source scan has no labels.
    """
    source = [case for case in cases if case.split == "source" and case.labels is not None]
    target = [case for case in cases if case.split == "target"]
    by_site = [] if list(names) == [ONE_STYLE] else [names.index(case.site) for case in target]
    return TranslationData(
        source=MappedArrays(tuple(case.voxels for case in source)),
        labels=MappedArrays(tuple(case.labels for case in source if case.labels is not None)),
        target=MappedArrays(tuple(case.voxels for case in target)),
        styles=by_site,
        fingerprint=prepared_hash([*source, *target]),
    )
