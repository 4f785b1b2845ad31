"""The whole stage and its command: rounds of labelling real scans and training on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from meatus.atomic import write_whole
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, prepared_hash, read_prepared
from meatus_training.runs.launch import launch_options, stop_when_told
from meatus_training.runs.run_context import Launch, RunContext
from meatus_training.runs.stage_records import file_key, key_of, read_record
from meatus_training.segmentation.member import NETWORK
from meatus_training.segmentation.samples import TrainingSample
from meatus_training.segmentation.select import select_samples
from meatus_training.selftraining.judge import (
    in_words,
    label_and_score,
    score,
    scores_file,
    shortened,
    weights_key,
)
from meatus_training.selftraining.pseudo_labels import (
    CLEANED,
    REPAIRED,
    label_cohort,
    load_teacher,
    publish,
    read_verdicts,
)
from meatus_training.selftraining.retrain import (
    Round,
    read_segment_settings,
    retrained,
    samples_key,
)
from meatus_training.selftraining.rounds import RoundPlan, compose, write_log
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.settings_files import load_settings, settings_hash

SELFTRAIN, WEIGHTS, PSEUDO, VALIDATION = "selftrain", "weights", "pseudo", "validation"
SCORES = "scores/scores.json"  # of a round
FOLDER = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True)
class Rounds:
    """What does not change from round to round."""

    settings: SelftrainSettings
    cases: tuple[PreparedCase, ...]
    translated: tuple[TrainingSample, ...]
    first: tuple[Path, ...]  # the members' checkpoints of the segmentation stage
    truth: Path | None
    context: RunContext

    def folder(self, number: int) -> Path:
        return self.context.work / SELFTRAIN / f"round_{number}"

    def split(self, name: str) -> list[PreparedCase]:
        return [case for case in self.cases if case.split == name]


def run_selftrain(
    members: Sequence[str],
    settings: SelftrainSettings,
    context: RunContext,
    truth: Path | None = None,
) -> tuple[Path, ...]:
    """Self-train the ``members`` of WORK/segment together; the last round's checkpoints.

    WORK/selftrain/round_<r> gets pseudo-labels, checkpoints and weights; round 0 is the ensemble
    as it comes from the segmentation. ``truth`` holds label maps in folders named for the
    splits: each round's scores on them go to WORK/selftrain/scores.jsonl, and nowhere else.

    What is done and unchanged stays. Raises ``TrainingError`` where something is missing or the
    run is told to stop: what is done by then is gone on with.
    """
    rounds = _gather(members, settings, context, truth)
    networks = rounds.first
    _publish(rounds, 0, networks)
    for number in range(1, settings.rounds + 1):
        round_ = _label(rounds, number)
        parts = [
            retrained(first, previous, round_, settings, context.work)
            for first, previous in zip(rounds.first, networks, strict=True)
        ]
        context.carry_out_all(parts)
        networks = tuple(part.folder / NETWORK for part in parts)
        _publish(rounds, number, networks)
    return networks


def _gather(
    members: Sequence[str], settings: SelftrainSettings, context: RunContext, truth: Path | None
) -> Rounds:
    work = context.work
    cases = read_prepared(work / "prepared")
    first = tuple(work / "segment" / name / NETWORK for name in members)
    missing = [file.parent.name for file in first if not file.exists()]
    if missing or not first:
        raise TrainingError(
            f"{work / 'segment'} lacks {NETWORK} of {', '.join(missing) or 'any member'}; "
            "train it with the segment command first."
        )
    if settings.rounds and not any(case.split == "target" for case in cases):
        raise TrainingError(f"{work / 'prepared'} holds no target scan to train on.")
    samples: tuple[TrainingSample, ...] = ()
    if settings.rounds:
        train_on = read_segment_settings(first[0]).train_on
        samples = tuple(select_samples(work, train_on, None, work / SELFTRAIN / "labels"))
    return Rounds(settings, cases, samples, first, truth, context)


def _publish(rounds: Rounds, number: int, networks: Sequence[Path]) -> None:
    """Write the round's networks as weights, and score them where there is a truth."""
    folder = rounds.folder(number)
    rounds.context.carry_out(
        folder / WEIGHTS,
        file_key(*networks),
        lambda: publish(networks, folder / WEIGHTS),
        alone=True,
    )
    if rounds.truth is not None:
        _score(rounds, number, rounds.truth)


def _label(rounds: Rounds, number: int) -> Round:
    """Label the real scans with the weights of the round before, and choose among them."""
    context, settings, targets = rounds.context, rounds.settings, rounds.split("target")
    weights, pseudo = rounds.folder(number - 1) / WEIGHTS, rounds.folder(number) / PSEUDO
    key = key_of(weights_key(weights), _labelling_key(settings), prepared_hash(targets))

    def label() -> None:
        model = load_teacher(weights, settings.quality, context.fabric)
        label_cohort(targets, model, settings, pseudo, context)

    context.carry_out(pseudo, key, label)
    names = [sample.name for sample in rounds.translated]
    plan = compose(number, names, read_verdicts(targets, pseudo), settings.joins)
    if context.fabric.is_global_zero:
        write_log(plan, context.work / SELFTRAIN)
    context.say(_in_words(plan, len(targets)))
    chosen = [(entry.case, entry.weight) for entry in plan.entries]
    whole = key_of(key, chosen, samples_key(rounds.translated, rounds.cases))
    return Round(plan, rounds.translated, rounds.cases, pseudo, whole)


def _score(rounds: Rounds, number: int, truth: Path) -> None:
    """Score the round's ensemble on the validation scans and its pseudo-labels on the target."""
    context, folder, cases = rounds.context, rounds.folder(number), rounds.split("validation")
    weights, validation = folder / WEIGHTS, folder / VALIDATION
    if cases and (truth / VALIDATION).is_dir():
        scans = {case.name: case.scan for case in cases}
        quality = rounds.settings.quality
        label_and_score(scans, truth / VALIDATION, weights, quality, validation, context)
    parts = [read_record(folder / name) for name in (VALIDATION, PSEUDO)]
    made_of = [part.key if part else "" for part in parts]
    context.carry_out(
        (folder / SCORES).parent,
        key_of(weights_key(weights), made_of, file_key(*sorted(truth.rglob("*.nii.gz")))),
        lambda: _write_scores(folder, number, truth),
        alone=True,
    )
    found = json.loads((folder / SCORES).read_text())
    for name in (name for name in found if name != "round"):
        context.say(f"round {number}, {name}: {in_words(found[name])}")
    if context.fabric.is_global_zero:
        _write_all_scores(folder.parent, number)


def _write_scores(folder: Path, number: int, truth: Path) -> None:
    found = {"round": number, **_scores(folder, truth)}
    write_whole(folder / SCORES, (json.dumps(found) + "\n").encode())


def _scores(folder: Path, truth: Path) -> dict[str, Any]:
    """Of what there is of a round and its truth."""
    found = {}
    judged = scores_file(folder / VALIDATION)
    if judged.exists() and (truth / VALIDATION).is_dir():
        found[VALIDATION] = shortened(json.loads(judged.read_text()))
    for kind in (CLEANED, REPAIRED):
        predictions, reference = folder / PSEUDO / kind, truth / "target"
        if predictions.is_dir() and reference.is_dir():
            found[f"pseudo-labels, {kind}"] = score(predictions, reference, resample=True)
    return found


def _write_all_scores(folder: Path, last: int) -> None:
    """``scores.jsonl``: a line for each round so far, the last one's behind the others'."""
    files = [folder / f"round_{number}" / SCORES for number in range(last + 1)]
    lines = [file.read_text() for file in files if file.exists()]
    write_whole(folder / "scores.jsonl", "".join(lines).encode())


def _labelling_key(settings: SelftrainSettings) -> str:
    """Of the settings that pseudo-labels depend on."""
    parts = [settings_hash(part) for part in (settings.clean, settings.repair, settings.select)]
    told: list[object] = [parts, settings.quality, settings.repairs, settings.sure_p]
    told += ["drops fluid"] if settings.drops_fluid else []
    told += [["grows", settings.tumour_p]] if settings.tumour_p < 1 else []
    return key_of(*told)


def _in_words(plan: RoundPlan, targets: int) -> str:
    plausible = sum(verdict.keep for verdict in plan.verdicts)
    return (
        f"round {plan.number}: {plausible} of {targets} real scans plausible, "
        f"{len(plan.real)} join {len(plan.entries) - len(plan.real)} translated ones"
    )


@click.command("selftrain")
@click.argument("work", type=FOLDER)
@click.option("--preset", default="paper", show_default=True, help="Or a YAML file, or a folder.")
@click.option("--member", "members", multiple=True, help="Of WORK/segment; default: all.")
@click.option("--rounds", type=click.IntRange(min=1), help="Else as the preset says.")
@click.option("--truth", type=FOLDER, help="Of phantoms (DATA/truth): score every round.")
@launch_options
@one_line_errors
def selftrain(
    work: Path,
    preset: str,
    members: tuple[str, ...],
    rounds: int | None,
    truth: Path | None,
    devices: int,
    nodes: int,
    strategy: str,
    accelerator: str,
) -> None:
    """Label WORK's hrT2 scans with its networks, and train these on the plausible labels.

    Each round's weights are WORK/selftrain/round_<r>/weights. Told to stop (SIGTERM), it saves
    its state and ends with exit code 2; the same command then goes on.
    """
    check_folders(work)
    settings = load_settings("selftrain", preset, SelftrainSettings)
    if rounds is not None:
        settings = replace(settings, rounds=rounds)
    if truth is not None and not truth.is_dir():
        raise TrainingError(f"{truth} is no folder; expected one with validation or target.")
    should_stop = stop_when_told()
    launch = Launch(devices, nodes, strategy, accelerator)
    context = RunContext(work, launch, launch.fabric(), should_stop)
    networks = run_selftrain(members or members_of(work), settings, context, truth)
    context.say(f"{networks[0].parents[1]}: self-trained, {settings.rounds} rounds")


def members_of(work: Path) -> tuple[str, ...]:
    """The networks that the segment command has finished, by name."""
    return tuple(sorted(file.parent.name for file in (work / "segment").glob(f"*/{NETWORK}")))
