"""The whole stage and its command: train the translator, then translate every source scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import click
from lightning.fabric import Fabric
from numpy.typing import NDArray

from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_apart, check_folders
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, prepared_hash, read_prepared
from meatus_training.runs.launch import (
    StoppedError,
    launch_options,
    make_fabric,
    stop_when_told,
    total,
)
from meatus_training.settings_files import load_settings
from meatus_training.translation.data import TranslationData
from meatus_training.translation.epochs import epoch_file
from meatus_training.translation.scans import Translator, translate_scans
from meatus_training.translation.settings import TranslateSettings
from meatus_training.translation.state import load_generator
from meatus_training.translation.train import CHECKPOINT, train_translation

# The name of the only style.
ONE_STYLE = "hrT2"
FOLDER = click.Path(file_okay=False, path_type=Path)


def run_translate(
    work: Path,
    settings: TranslateSettings,
    fabric: Fabric,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train on WORK/prepared into WORK/translate, then fill WORK/translated; that folder.

    Goes on where it stopped; what is done and unchanged stays. Raises ``TrainingError`` where
    something is missing or ``should_stop`` came first: all is saved by then.
    """
    train_translator(work, settings, fabric, say, should_stop)
    return apply_translator(work, settings, fabric, say, should_stop)


def train_translator(
    work: Path,
    settings: TranslateSettings,
    fabric: Fabric,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """The first half of ``run_translate``: WORK/translate."""
    cases = _read_cases(work)
    names = style_names(cases, settings.styles)
    training = settings.training
    if settings.styles == "by_site":
        training = replace(training, styles=len(names))
    data = translation_data(cases, names, training.size if training.fit == "zoom" else 0)
    trained = train_translation(data, training, work / "translate", fabric, say, should_stop)
    if not trained.finished:
        raise StoppedError("the training of the translation", f"step {trained.step}")


def apply_translator(
    work: Path,
    settings: TranslateSettings,
    fabric: Fabric,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """The second half of ``run_translate``: WORK/translated, by the epoch that is wanted."""
    cases, folder = _read_cases(work), work / "translate"
    names = style_names(cases, settings.styles)
    chosen = epoch_file(folder, settings.epoch)
    if chosen is not None:
        say(f"translating with {chosen}")
    generator, training = load_generator(chosen or folder / CHECKPOINT)
    translator = Translator(generator.to(fabric.device), training, settings.apply, names)
    folder = work / "translated"
    sources = labelled_source(cases)
    counts = translate_scans(sources, translator, folder, fabric, say, should_stop)
    made, wanted = total(fabric, *counts)
    if made < wanted:
        raise TrainingError(
            f"told to stop after {made:.0f} of {wanted:.0f} translations; run the same command "
            "again to go on."
        )
    say(f"{folder}: {made:.0f} translations made, {', '.join(names)}")
    return folder


def _read_cases(work: Path) -> tuple[PreparedCase, ...]:
    cases = read_prepared(work / "prepared")
    outputs = [work / "translate", work / "translated"]
    check_apart(outputs, {work / "prepared", *(case.voxels.parent for case in cases)})
    return cases


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


def translation_data(
    cases: Sequence[PreparedCase], names: Sequence[str], size: int = 0
) -> TranslationData:
    """Source and target scans of ``cases``, with the numbers of their sites among ``names``.

    Where slices of ``size`` were cut from the scans, those; else the prepared voxels.

    Raises ``TrainingError`` where either side has none.
    """
    source = labelled_source(cases)
    target = [case for case in cases if case.split == "target"]
    by_site = [] if list(names) == [ONE_STYLE] else [names.index(case.site) for case in target]
    return TranslationData(
        source=MappedArrays(tuple(partial(case.load_slices, size) for case in source)),
        labels=MappedArrays(tuple(case.load_labels for case in source)),
        target=MappedArrays(tuple(partial(case.load_slices, size) for case in target)),
        styles=by_site,
        fingerprint=prepared_hash([*source, *target]),
    )


@click.command("translate")
@click.argument("work", type=FOLDER)
@click.option("--epoch", type=click.IntRange(min=1), help="Translate with this kept epoch.")
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@launch_options
@one_line_errors
def translate(
    work: Path,
    epoch: int | None,
    preset: str,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
) -> None:
    """Train a translator on WORK/prepared and translate its ceT1 scans to pseudo-hrT2.

    The results are WORK/translated/CASE--STYLE.voxels.npy. Told to stop (SIGTERM), it saves its
    state and ends with exit code 2; the same command then goes on.
    """
    check_folders(work)
    settings = load_settings("translate", preset, TranslateSettings)
    if epoch is not None:
        settings = replace(settings, epoch=epoch)
    should_stop = stop_when_told()
    fabric = make_fabric(devices, nodes, strategy, accelerator, settings.training.precision)
    run_translate(
        work,
        settings,
        fabric,
        say=lambda line: fabric.print(line, flush=True),
        should_stop=should_stop,
    )
