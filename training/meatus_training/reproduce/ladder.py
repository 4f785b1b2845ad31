"""The ladder: reproductions of a cohort of phantoms that differ in one thing each, side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from meatus.engines import usable_threads
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_phantom.cohort.files import FOLDERS
from meatus_training.errors import TrainingError
from meatus_training.prepare.stage import PREPARED
from meatus_training.reproduce.settings import ReproduceSettings, load_all
from meatus_training.reproduce.stage import (
    STAGES,
    Reproduction,
    last_scores,
    run_reproduce,
    translations_key,
    translator_key,
)
from meatus_training.runs.launch import launch_options, stop_when_told
from meatus_training.runs.run_context import Launch, RunContext
from meatus_training.runs.stage_records import key_of
from meatus_training.selftraining.judge import label_and_score, scores_file
from meatus_training.selftraining.retrain import training_key
from meatus_training.selftraining.stage import SELFTRAIN, VALIDATION
from meatus_training.settings_files import PRESETS, SettingsError, read_yaml, settings_hash

RUNGS = PRESETS / "ladder" / "rungs.yaml"
COMMON, LABELS = "common", "test"  # ``meatus compare`` reads two rungs' test.scores.json
SUFFIX = "_T2.nii.gz"
SHOWN = {
    "extra_meatal": "extra-meatal",
    "intra_meatal": "intra-meatal",
    "whole_vs": "whole VS",
    "cochlea": "cochlea",
}
CHOSEN_BY = ("whole_vs", "cochlea")
FOLDER = click.Path(file_okay=False, path_type=Path)


def read_rungs(file: Path, chosen: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """What each rung, or each ``chosen`` one, changes of the preset's stages.

    Raises ``SettingsError`` where the file says something else, or lacks a chosen one.
    """
    found = read_yaml(file)
    for name, changes in found.items() if isinstance(found, dict) else [("", None)]:
        if not isinstance(changes, dict) or changes.keys() - set(STAGES):
            raise SettingsError(
                f"{file}: {name or 'the whole file'}: expected rungs by name, and of each what "
                f"changes in {', '.join(STAGES)}."
            )
    if missing := [name for name in chosen if name not in found]:
        raise SettingsError(f"{file}: no rung {', '.join(missing)}; there are {', '.join(found)}.")
    return {name: found[name] for name in chosen or found}


def climb(
    data: Path,
    rungs: Mapping[str, ReproduceSettings],
    context: RunContext,
    workers: int,
) -> dict[str, Any]:
    """Train every rung into WORK/<rung>, label and score the test phantoms.

    By rung and split, all scores of those phantoms, and the means of those for validation after
    the rung's last round. What rungs have in common is made once. What is done and unchanged
    stays, as in ``run_reproduce``. Raises ``TrainingError`` where ``data`` is no cohort with a
    truth for its test scans.
    """
    truth, folder = data / "truth", data / FOLDERS["test"]
    scans = {file.name.removesuffix(SUFFIX): file for file in sorted(folder.glob(f"*{SUFFIX}"))}
    if not scans or not (truth / "test").is_dir():
        raise TrainingError(
            f"{data}: no test scans with their truth; make a cohort with meatus phantom cohort "
            "--test."
        )
    found = {}
    for name, settings in rungs.items():
        own = replace(context, work=context.work / name)
        if context.fabric.is_global_zero:
            share_folders(context.work, own.work, settings)
        context.fabric.barrier()
        context.say(f"rung {name}")
        run = Reproduction(data, settings, own, workers, truth)
        weights, labels = run_reproduce(run), own.work / LABELS
        quality = settings.selftrain.quality
        label_and_score(scans, truth / "test", weights, quality, labels, own)
        test = json.loads(scores_file(labels).read_text())
        found[name] = {"test": test, VALIDATION: last_scores(run)}
    return found


def share_folders(work: Path, rung: Path, settings: ReproduceSettings) -> None:
    """Links in the folder of a ``rung`` to what others of ``work`` have use for too.

    Translations of one translator, members trained alike on them, and rounds that these take.
    """
    translated = translations_key(settings.translate)
    members = key_of(translated, training_key(settings.segment), settings.export.members)
    rounds = key_of(members, settings_hash(replace(settings.selftrain, rounds=0)))
    rung.mkdir(parents=True, exist_ok=True)
    for name, key in (
        (PREPARED, ""),
        ("translate", translator_key(settings.translate)),
        ("translated", translated),
        ("segment", members),
        (SELFTRAIN, rounds),
    ):
        home, link = work / COMMON / key / name, rung / name
        home.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() and not link.exists():
            link.symlink_to(os.path.relpath(home, rung), target_is_directory=True)


def ladder_table(scores: Mapping[str, Any]) -> Table:
    """Mean Dice of each structure and its 95 % interval over the test cases, a row for each rung.

    Of the validation cases, by which one chooses, the means of whole VS and cochlea.
    """
    table = Table("rung: Dice", *SHOWN.values(), "validation: whole VS, cochlea")
    for name, found in scores.items():
        measures, means = found["test"]["summary"][0]["measures"], found[VALIDATION]
        chosen_by = [f"{means[structure]['dice']:.2f}" for structure in CHOSEN_BY if means]
        table.add_row(
            name,
            *(_in_words(measures[structure]["dice"]) for structure in SHOWN),
            ", ".join(chosen_by),
        )
    return table


def _in_words(dice: Mapping[str, Any]) -> str:
    if dice["mean_low"] is None:
        return f"{dice['mean']:.2f}"
    return f"{dice['mean']:.2f} ({dice['mean_low']:.2f}-{dice['mean_high']:.2f})"


@click.command("ladder")
@click.argument("data", type=FOLDER)
@click.argument("work", type=FOLDER)
@click.option("--rung", "chosen", multiple=True, help="Of the rungs' file; default: all of them.")
@click.option("--preset", default="ladder", show_default=True, help="Or a folder of YAML files.")
@click.option(
    "--rungs",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML: by name, what a rung changes of the preset.  [default: the ladder's own]",
)
@click.option("--workers", type=click.IntRange(min=1), default=usable_threads)
@launch_options
@one_line_errors
def ladder(
    data: Path,
    work: Path,
    chosen: tuple[str, ...],
    preset: str,
    file: Path | None,
    workers: int,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
) -> None:
    """Train rung by rung on the phantoms in DATA and compare them on its test scans.

    Each rung is a reproduction of its own, in WORK/RUNG, with its scores of the test scans in
    WORK/RUNG/test.scores.json. Stopped or killed anywhere, the same command goes on. It may run
    several times in one WORK, with other rungs, each on its own GPU or core: what two of them
    need is made by one while the other waits.
    """
    check_folders(work)
    changes = read_rungs(file or RUNGS, chosen)
    rungs = {name: load_all(preset, changed) for name, changed in changes.items()}
    should_stop = stop_when_told()
    launch = Launch(devices, nodes, strategy, accelerator)
    context = RunContext(work, launch, launch.fabric(), should_stop)
    scores = climb(data, rungs, context, workers)
    if context.fabric.is_global_zero:
        Console(width=120).print(ladder_table(scores))
