"""The whole stage: train the translator, then translate every source scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lightning.fabric import Fabric

from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import read_prepared
from meatus_training.runs.distributed import total
from meatus_training.runs.launch import StoppedError
from meatus_training.translation.cases import labelled_source, style_names, translation_data
from meatus_training.translation.scans import Translator, translate_scans
from meatus_training.translation.settings import TranslateSettings
from meatus_training.translation.state import load_generator
from meatus_training.translation.train import CHECKPOINT, train_translation


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
    cases = read_prepared(work / "prepared")
    names = style_names(cases, settings.styles)
    training = settings.training
    if settings.styles == "by_site":
        training = replace(training, styles=len(names))
    data = translation_data(cases, names)
    trained = train_translation(data, training, work / "translate", fabric, say, should_stop)
    if not trained.finished:
        raise StoppedError("the training of the translation", trained.step)
    generator, training = load_generator(work / "translate" / CHECKPOINT)
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
