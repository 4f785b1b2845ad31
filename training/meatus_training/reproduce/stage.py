"""All stages, one after the other; each is left out where it is done and nothing changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from lightning.fabric import Fabric

from meatus.geometry import Array
from meatus.spec import Window
from meatus.windows import cut, plan
from meatus_training.errors import TrainingError
from meatus_training.export.agreement import export_checked
from meatus_training.export.manifest import write_manifest
from meatus_training.prepare.cases import TABLE, PreparedCase, Split, read_prepared
from meatus_training.prepare.challenge import all_files
from meatus_training.prepare.stage import PREPARED, run_prepare, unreadable
from meatus_training.reproduce.settings import (
    ExportSettings,
    ReproduceSettings,
    StageName,
    check_batches,
)
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.provenance import described
from meatus_training.runs.run_context import Part, RunContext, ends_on_sigterm
from meatus_training.runs.stage_records import begin, file_key, forget, key_of
from meatus_training.segmentation.member import NETWORK, train_member
from meatus_training.segmentation.samples import SampleScans, TrainingSample
from meatus_training.segmentation.select import select_samples, split_of
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.pseudo_labels import check_labelling
from meatus_training.selftraining.retrain import samples_key, training_key
from meatus_training.selftraining.stage import SCORES, SELFTRAIN, VALIDATION, run_selftrain
from meatus_training.settings_files import settings_hash
from meatus_training.translation.settings import (
    ApplySettings,
    TranslateSettings,
    TranslatorSettings,
)
from meatus_training.translation.stage import apply_translator, train_translator
from meatus_training.translation.state import FREE as FREE_OF_TRANSLATION
from meatus_training.translation.train import CHECKPOINT as TRANSLATOR

# The folders in the working folder that a stage fills.
FOLDERS: dict[StageName, str] = {
    "prepare": PREPARED,
    "translate": "translate*",
    "segment": "segment/*",
    "selftrain": f"{SELFTRAIN}/round_*/*",
    "export": "weights",
}
STAGES = tuple(FOLDERS)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Reproduction:
    """One run from scans to weights."""

    data: Path
    settings: ReproduceSettings
    context: RunContext
    workers: int = 1  # processes that prepare
    truth: Path | None = None  # label maps of phantoms: to score rounds, or train on the target
    anew: StageName | None = None  # what is begun anew, with all behind it

    @property
    def work(self) -> Path:
        return self.context.work


def run_reproduce(run: Reproduction) -> Path:
    """Prepare, translate, segment, self-train, export; the folder WORK/weights.

    What is done and unchanged is left out; what was interrupted goes on from its checkpoint.
    Raises ``TrainingError`` for what a user can put right, and where the run is told to stop.
    """
    settings, context = run.settings, run.context
    check_start(run.data, run.work, settings, context.fabric)
    if run.anew is not None and context.fabric.is_global_zero:
        redo_from(run.work, run.anew)
    context.fabric.barrier()
    cases = _stage(run, "prepare", lambda: _prepare(run))
    _stage(run, "translate", lambda: _translate(run, cases))
    members = _stage(run, "segment", lambda: _segment(run, cases))
    networks = _stage(
        run,
        "selftrain",
        lambda: run_selftrain(members, settings.selftrain, context, run.truth),
    )
    return _stage(run, "export", lambda: _export(run, networks, cases))


def check_start(data: Path, work: Path, settings: ReproduceSettings, fabric: Fabric) -> None:
    """Raise ``TrainingError`` for what would end a later stage, before hours are spent."""
    if data.resolve() in (work.resolve(), *work.resolve().parents):
        raise TrainingError(
            f"{work}: lies within {data}, where its label maps would be taken for scans; name a "
            "folder beside it."
        )
    check_batches(settings, fabric.world_size)
    if settings.selftrain.rounds:
        check_labelling(fabric)


def redo_from(work: Path, stage: StageName) -> None:
    """Let the next run begin ``stage`` and all behind it anew; what is there is set aside."""
    for name in STAGES[STAGES.index(stage) :]:
        for folder in work.glob(FOLDERS[name]):
            forget(folder)
            if name == "prepare":  # which would keep what it can use
                begin(folder, key_of("again"), work / "aside")


def _stage(run: Reproduction, name: StageName, job: Callable[[], Result]) -> Result:
    title = f"[{STAGES.index(name) + 1}/{len(STAGES)}] {name}"
    run.context.say(title)
    started_s = time.monotonic()
    result = job()
    run.context.say(f"{title}: done after {(time.monotonic() - started_s) / 60:.1f} min")
    return result


def _prepare(run: Reproduction) -> tuple[PreparedCase, ...]:
    """Its own records tell what is done: scans that are new or changed are prepared, no others."""
    folder = run.work / PREPARED

    def prepare() -> None:
        with ends_on_sigterm("the preparation"):
            run_prepare(run.data, run.work, run.settings.prepare, run.workers)

    key = key_of(settings_hash(run.settings.prepare), str(run.data.resolve()), listing(run.data))
    run.context.carry_out(folder, key, prepare, alone=True, keeps=True, makes=[folder / TABLE])
    return read_prepared(folder)


def _translate(run: Reproduction, cases: Sequence[PreparedCase]) -> None:
    settings, context = run.settings.translate, run.context

    def carry_out(stage: Callable[..., object]) -> None:
        fabric = context.launch.fabric(settings.training.precision)
        stage(run.work, settings, fabric, context.say, context.should_stop)

    digests = [(case.name, case.split, case.site, case.digest) for case in cases]
    known = [row for row in digests if row[1] != "validation"]
    if run.settings.segment.train_on != "translated":
        context.say(f"left out: segment trains on {run.settings.segment.train_on}")
        return
    folder = run.work / "translate"
    key = key_of(translator_key(settings), known)
    context.carry_out(
        folder, key, partial(carry_out, train_translator), makes=[folder / TRANSLATOR]
    )
    # Another epoch, or way to apply it, leaves the translator as it is.
    key = key_of(translations_key(settings), known, file_key(folder / TRANSLATOR))
    context.carry_out(
        run.work / "translated", key, partial(carry_out, apply_translator), keeps=True
    )


def _segment(run: Reproduction, cases: Sequence[PreparedCase]) -> tuple[str, ...]:
    """The members' names; each is trained from a seed of its own."""
    settings = run.settings.segment
    labels = run.truth / "target" if run.truth and settings.train_on == "target" else None
    with run.context.fabric.rank_zero_first():
        samples = select_samples(run.work, settings.train_on, labels, run.work / "labels")
    split = split_of(settings.train_on)
    members = [
        _member(run, replace(settings, seed=settings.seed + number), samples, cases, split, number)
        for number in range(run.settings.export.members)
    ]
    run.context.carry_out_all(members)
    return tuple(member.folder.name for member in members)


def _member(
    run: Reproduction,
    settings: SegmentSettings,
    samples: Sequence[TrainingSample],
    cases: Sequence[PreparedCase],
    split: Split,
    number: int,
) -> Part:
    """The training of a member, counted from 0."""
    folder = run.work / "segment" / f"member_{number + 1}"

    def train(context: RunContext) -> None:
        train_member(
            folder,
            SampleScans(samples, settings.seed),
            settings,
            run.settings.prepare,
            context.launched(settings.precision),
            described(cases),
            say=context.say,
            should_stop=context.should_stop,
        )

    key = key_of(training_key(settings), samples_key(samples, cases, split))
    return Part(folder, key, train, makes=(folder / NETWORK,))


def _export(run: Reproduction, networks: Sequence[Path], cases: Sequence[PreparedCase]) -> Path:
    folder, settings = run.work / "weights", run.settings.export
    scores = last_scores(run)
    key = key_of(file_key(*networks), settings_hash(settings), described(cases), scores)
    run.context.carry_out(
        folder,
        key,
        lambda: export_all(networks, settings, cases, folder, scores, run.context.say),
        alone=True,
    )
    return folder


def last_scores(run: Reproduction) -> dict[str, Any]:
    """Means of the last round on the validation scans; empty where there is no truth."""
    last = run.work / SELFTRAIN / f"round_{run.settings.selftrain.rounds}" / SCORES
    if run.truth is None or not last.exists():
        return {}
    found: dict[str, Any] = json.loads(last.read_text()).get(VALIDATION, {})
    return found


def translator_key(settings: TranslateSettings) -> str:
    """Of what changes the translator."""
    return translations_key(replace(settings, apply=ApplySettings(), epoch=0))


def translations_key(settings: TranslateSettings) -> str:
    """Of what changes the translations, not of how fast they come about."""
    plain = TranslatorSettings()
    free = {name: getattr(plain, name) for name in FREE_OF_TRANSLATION}
    return settings_hash(replace(settings, training=replace(settings.training, **free)))


def listing(data: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of ``data``: what tells that a scan was changed.

    Raises ``TrainingError`` where a folder is closed.
    """
    try:
        files = [(file, file.stat()) for file in all_files(data) if file.is_file()]
    except OSError as error:
        raise unreadable(data, error) from error
    return [(str(file.relative_to(data)), s.st_size, s.st_mtime_ns) for file, s in files]


def export_all(
    networks: Sequence[Path],
    settings: ExportSettings,
    cases: Sequence[PreparedCase],
    folder: Path,
    scores: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """Write ``networks``, trained on ``cases``, to ``folder`` with their manifest.

    Raises ``TrainingError`` where a runtime computes something else than PyTorch.
    """
    for file in folder.glob("*.onnx"):
        file.unlink()  # of an interrupted start: the manifest must name these networks alone
    seen = next((case for case in cases if case.split == "target"), cases[0])
    for number, file in enumerate(networks, start=1):
        network, spec, _ = load_checkpoint(file)
        name = f"{settings.name}-{number}"
        told = replace(spec, name=name, trained_on=described(cases), licence=settings.licence)
        out = folder / f"{name}.onnx"
        window = middle_window(seen, spec.window)
        agreement = export_checked(network, told, window, out, fp16=settings.fp16)
        for line in agreement.lines():
            say(f"{name}: {line}")
    write_manifest(folder, {"ensemble": scores} if scores else {})


def middle_window(case: PreparedCase, window: Window) -> Array:
    """(Z, Y, X): what the network sees of the middle of a prepared scan."""
    voxels = case.load_voxels()
    parts = plan(len(voxels), window)
    return cut(np.asarray(voxels, dtype=np.float32), parts[len(parts) // 2], window.depth)
