"""One member of the ensemble: trained, and written as ``export`` wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lightning.fabric import Fabric

from meatus.spec import ReferenceCrop, Spec, Window
from meatus.weights import read_spec
from meatus_training.errors import TrainingError
from meatus_training.export.onnx_export import read_network
from meatus_training.networks import ResUNet25d
from meatus_training.prepare.cases import TABLE, read_table
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import load_checkpoint, save_checkpoint
from meatus_training.runs.launch import StoppedError
from meatus_training.runs.provenance import fine_tuned_from
from meatus_training.segmentation.initial_weights import widen
from meatus_training.segmentation.rendered import Subjects
from meatus_training.segmentation.samples import Scans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.train import train_segmenter

NETWORK = "network.pt"
KEPT = "network-{}.pt"  # after so many steps
OVERLAP_PART = 3  # of a window's depth that it shares with the next one
PUBLISHED_OVERLAP = 8  # slices; of 40


def prepared_how(work: Path, settings: SegmentSettings) -> PrepareSettings:
    """How the scans of ``work`` were prepared; phantoms may do without any."""
    folder = work / "prepared"
    if settings.train_on == "phantoms" and not (folder / TABLE).exists():
        return settings.phantoms.prepare
    return read_table(folder).settings


def begin(
    start: Path | None, settings: SegmentSettings, prepared: PrepareSettings, about: str
) -> tuple[ResUNet25d | None, str, tuple[str, ...]]:
    """The network of the file ``start``, if any, and ``trained_on`` and ``history`` to be told.

    ``about`` says what is learnt from now.

    The file is a checkpoint or an ``.onnx`` file. A narrower network is widened to twice its
    width, or more, without changing what it says. Raises ``WeightsError`` where the file cannot
    be used, and ``TrainingError`` where its network cannot become one of the size that
    ``settings`` ask for, or has learnt from scans that were not ``prepared`` like these.
    """
    if start is None:
        return None, about, ()
    if start.suffix == ".onnx":
        spec = read_spec(start)
        network = read_network(start, spec)
    else:
        network, spec, _ = load_checkpoint(start)
    # A scout sees the same coarsely, and learns in minutes from what has seen it closely.
    rules = ("normalisation",) if settings.look == "scout" else ("crop", "normalisation")
    for rule in rules:
        learnt, given = getattr(spec, rule), getattr(prepared, rule)
        if learnt != given:
            raise TrainingError(
                f"{start}: its network knows scans of another {rule}, {learnt}; these have "
                f"{given}: prepare them alike or start from another file."
            )
    times, left = divmod(settings.width, network.width)
    if left or network.blocks != settings.blocks:
        found, wanted = (network.width, network.blocks), (settings.width, settings.blocks)
        raise TrainingError(
            f"{start}: its network has (width, blocks) {found}, the preset says {wanted}: as many "
            "blocks, and the same width or a multiple; start from another file or change the "
            "preset."
        )
    network = widen(network, times, settings.seed) if times > 1 else network
    return network, *fine_tuned_from(about, spec)


def train_member(
    folder: Path,
    scans: Scans | Subjects,
    settings: SegmentSettings,
    prepared: PrepareSettings,
    fabric: Fabric,
    trained_on: str,
    *,
    start: ResUNet25d | None = None,
    history: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train, and write ``folder/network.pt``; the member is called as its folder.

    Networks kept on the way are ``folder/network-STEP.pt``. Raises ``StoppedError``
    where ``should_stop`` came first: the state is saved by then.
    """
    spec = spec_for(settings, prepared, folder.name, trained_on, history)

    def write(file: Path, network: ResUNet25d) -> None:
        if fabric.is_global_zero:
            write_network(file, network, spec, settings)
        fabric.barrier()

    trained = train_segmenter(
        scans,
        settings,
        folder,
        fabric,
        start=start,
        say=say,
        should_stop=should_stop,
        keep=lambda step, network: write(folder / KEPT.format(step), network),
    )
    if not trained.finished:
        raise StoppedError(f"the training of {folder.name}", f"step {trained.step}")
    file = folder / NETWORK
    write(file, trained.network)
    return file


def spec_for(
    settings: SegmentSettings,
    prepared: PrepareSettings,
    name: str,
    trained_on: str,
    history: tuple[str, ...] = (),
) -> Spec:
    """What the pipeline must know about weights trained on scans ``prepared`` that way."""
    shape = settings.augmentation.shape
    # Rendered windows show no head upside down.
    upright = settings.train_on == "phantoms" or shape.flip_chance == 0
    published = isinstance(prepared.crop, ReferenceCrop) and settings.depth > PUBLISHED_OVERLAP
    overlap = PUBLISHED_OVERLAP if published else settings.depth // OVERLAP_PART
    return replace(
        prepared.spec(),
        name=name,
        window=Window(settings.depth, overlap),
        trained_on=trained_on,
        history=history,
        licence="Apache-2.0",
        date=datetime.now(UTC).date().isoformat(),
        width=settings.width,
        blocks=settings.blocks,
        look=settings.look,
        flips="left-right" if upright else shape.flips,
    )


def write_network(file: Path, network: ResUNet25d, spec: Spec, settings: SegmentSettings) -> None:
    """The checkpoint that ``export`` reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(file, network, spec, config=settings.as_dict())
