"""Prepared scans as the translation trains on them: nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from numpy.typing import NDArray

from meatus_training.prepare.cases import PreparedCase, prepared_hash
from meatus_training.translation.data import TranslationData

# The name of the only style.
ONE_STYLE = "hrT2"


@dataclass(frozen=True)
class MappedArrays(Sequence[NDArray[Any]]):
    """Arrays in files, mapped anew at each access.

    So their number is not bounded by how many files a process may hold open, nor by memory, and
    to hand them to another process is to hand over their names.
    """

    readers: tuple[Callable[[], NDArray[Any]], ...]

    def __len__(self) -> int:
        return len(self.readers)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> MappedArrays: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | MappedArrays:
        if isinstance(index, slice):
            return MappedArrays(self.readers[index])
        return self.readers[index]()


def style_names(cases: Sequence[PreparedCase], styles: Literal["one", "by_site"]) -> list[str]:
    """The styles that a translator of ``cases`` has: one, or the sites of the target scans."""
    if styles == "one":
        return [ONE_STYLE]
    return sorted({case.site for case in cases if case.split == "target"})


def labelled_source(cases: Sequence[PreparedCase]) -> list[PreparedCase]:
    return [case for case in cases if case.split == "source" and case.labels is not None]


def translation_data(cases: Sequence[PreparedCase], names: Sequence[str]) -> TranslationData:
    """Source and target scans of ``cases``, with the numbers of their sites among ``names``.

    Raises ``TrainingError`` where either side has none.
    """
    source = labelled_source(cases)
    target = [case for case in cases if case.split == "target"]
    by_site = [] if list(names) == [ONE_STYLE] else [names.index(case.site) for case in target]
    return TranslationData(
        source=MappedArrays(tuple(case.load_voxels for case in source)),
        labels=MappedArrays(tuple(case.load_labels for case in source)),
        target=MappedArrays(tuple(case.load_voxels for case in target)),
        styles=by_site,
        fingerprint=prepared_hash([*source, *target]),
    )
