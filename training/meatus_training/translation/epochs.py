"""Epochs of a translator: measured on slices held out, kept, shown side by side, and chosen.

An adversarial loss does not tell how good a translation is: it falls where the critic weakens.
What is measured here at the end of an epoch is whether content stays (the contrastive losses of
fixed pairs of slices that the training does not see) and whether the look arrives (how far grey
values and edges of the translated slices lie from those of real ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.utils.data import default_collate

from meatus.atomic import write_whole
from meatus.service.commands import one_line_errors
from meatus.service.destinations import check_folders
from meatus_training.errors import TrainingError
from meatus_training.runs.checkpoints import write_state
from meatus_training.runs.journal import png_bytes
from meatus_training.translation.data import Chosen, SlicePairs, TranslationData
from meatus_training.translation.objective import draw_places, generator_loss, translate_batch
from meatus_training.translation.settings import TranslatorSettings
from meatus_training.translation.state import State

FOLDER = "epochs"  # in the translator's folder
MEASURED = 32  # pairs of slices
SEED = 1 << 20  # of their positions: far from the training's own
AT_ONCE = 8
SHOWN = 4  # pairs in a picture
EVERY = 7  # voxels of a slice that a distance looks at: one in so many


@dataclass(frozen=True)
class Measured:
    """What a translator does to the pairs of slices; all four are better where they are lower."""

    nce: float  # contrastive loss between source slices and their translations
    identity: float  # the same between target slices and theirs
    grey: float  # Wasserstein distance of grey values, translated to real, on [-1, 1]
    edges: float  # the same of the differences between neighbouring voxels

    @property
    def content(self) -> float:
        """What the rate follows: a loss that a stronger critic cannot move."""
        return self.nce + self.identity


@dataclass(frozen=True)
class Epoch:
    """A kept epoch and its numbers."""

    number: int
    measured: Measured


_EPOCH = TypeAdapter(Epoch)


def parted(data: TranslationData, share: float) -> tuple[TranslationData, TranslationData]:
    """What is trained on, and what is measured on: ``share`` of the scans of either side.

    Spread over all of them, so that every site has its part; both are all of ``data`` where
    ``share`` is 0. Raises ``TrainingError`` where nothing would be left to train on.
    """
    if share == 0:
        return data, data
    sides = [_held_out(len(scans), share) for scans in (data.source, data.target)]
    if any(
        len(held) >= len(scans)
        for held, scans in zip(sides, (data.source, data.target), strict=True)
    ):
        raise TrainingError(
            f"held_out: {share:g} of {len(data.source)} source and {len(data.target)} target scans "
            "leaves none to train on; set it to 0 or prepare more."
        )
    source, target = sides
    return _without(data, source, target), _only(data, source, target)


def fixed_pairs(data: TranslationData, settings: TranslatorSettings) -> SlicePairs:
    """The pairs of slices of ``data`` that every epoch is measured on."""
    return SlicePairs(data, replace(settings, seed=settings.seed + SEED))


def contact_sheet(images: Sequence[Tensor]) -> NDArray[np.uint8]:
    """The first slices of (N, C, H, W) in [-1, 1], a column for each: (N H, len W) grey values.

    Of slices with neighbours the middle ones.
    """
    middles = [image[:SHOWN, image.shape[1] // 2] for image in images]
    grey = np.hstack([m.detach().float().cpu().clamp(-1, 1).flatten(0, 1) for m in middles])
    return np.asarray(np.rint((grey + 1) * 127.5), dtype=np.uint8)


def measure(
    state: State, pairs: SlicePairs, settings: TranslatorSettings, fabric: Fabric
) -> tuple[Measured, NDArray[np.uint8]]:
    """The measures of a translator, and its picture; the same for every process.

    ``pairs`` come from ``fixed_pairs``. Weights and the training's random numbers stay as they are.
    """
    losses, found, shown, real = [], [], [], []
    for first in range(0, MEASURED, AT_ONCE):
        batch = default_collate([pairs[number] for number in range(first, first + AT_ONCE)])
        source, target, styles, _ = (part.to(fabric.device) for part in batch)
        rng = torch.Generator().manual_seed(first)
        fake, loss = _contrasted(state, source, target, styles, settings, rng, fabric)
        losses.append(loss)
        found.append(fake)
        shown.append(source.cpu())
        real.append(target.cpu())
    nce, identity = torch.stack(losses).mean(0).tolist()
    fakes, reals = torch.cat(found), torch.cat(real)
    grey, edges = distance(fakes, reals), distance(_edges(fakes), _edges(reals))
    return Measured(nce, identity, grey, edges), contact_sheet([torch.cat(shown), fakes, reals])


def distance(one: Tensor, other: Tensor) -> float:
    """Wasserstein distance between the values of two sets of slices, of one voxel in some."""
    return float(wasserstein_distance(*(part.flatten()[::EVERY].numpy() for part in (one, other))))


def keep(
    folder: Path,
    number: int,
    state: State,
    measured: Measured,
    picture: NDArray[np.uint8],
    settings: TranslatorSettings,
) -> None:
    """Write the generator of epoch ``number``, its picture and, when all is there, its numbers."""
    stem = folder / FOLDER / f"epoch_{number:04d}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    content = {"generator": state.generator.state_dict(), "config": settings.as_dict()}
    write_state(stem.with_suffix(".pt"), content)
    write_whole(stem.with_suffix(".png"), png_bytes(picture))
    write_whole(stem.with_suffix(".json"), _EPOCH.dump_json(Epoch(number, measured)) + b"\n")


def kept_epochs(folder: Path) -> list[Epoch]:
    """The epochs kept in a translator's ``folder``, in order.

    Raises ``TrainingError`` where a file of them is damaged.
    """
    epochs = []
    for file in sorted((folder / FOLDER).glob("epoch_*.json")):
        try:
            epochs.append(_EPOCH.validate_json(file.read_bytes()))
        except (OSError, ValidationError) as error:
            raise TrainingError(
                f"{file}: cannot be read; delete it, and that epoch is no longer one to choose."
            ) from error
    return epochs


def shortfalls(epochs: Sequence[Epoch]) -> list[float]:
    """How far each epoch falls short of the best, by content and by look (grey values, edges).

    Each measure goes from 0 for the best of ``epochs`` to 1 for the worst; content counts as much
    as both measures of the look together. From 0 to 1.
    """
    measured = [epoch.measured for epoch in epochs]
    content, grey, edges = (
        _scaled(values)
        for values in (
            [one.content for one in measured],
            [one.grey for one in measured],
            [one.edges for one in measured],
        )
    )
    return [float(value) for value in content / 2 + (grey + edges) / 4]


def choose_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch that falls least short of the best; of equal ones the last."""
    pairs = zip(shortfalls(epochs), epochs, strict=True)
    return min(pairs, key=lambda pair: (pair[0], -pair[1].number))[1]


def _scaled(values: Sequence[float]) -> NDArray[np.float64]:
    found = np.array(values, dtype=np.float64)
    scaled: NDArray[np.float64] = (found - found.min()) / max(float(np.ptp(found)), 1e-12)
    return scaled


def epoch_file(folder: Path, number: int) -> Path | None:
    """The checkpoint to translate with: of epoch ``number``, or 0: chosen by ``choose_epoch``.

    None where the folder keeps none and none is asked for. Raises ``TrainingError`` where the
    epoch asked for was not kept.
    """
    epochs = kept_epochs(folder)
    known = {epoch.number for epoch in epochs}
    if number and number not in known:
        listed = ", ".join(map(str, sorted(known))) or "none; set keep_epochs before the training"
        raise TrainingError(f"{folder / FOLDER}: epoch {number} is not kept; kept are {listed}.")
    if not epochs:
        return None
    chosen = number or choose_epoch(epochs).number
    return folder / FOLDER / f"epoch_{chosen:04d}.pt"


@click.command("epochs")
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@one_line_errors
def epochs(work: Path) -> None:
    """Show the translator's kept epochs of WORK side by side, and which one is chosen.

    Their pictures (source, translated, target) come together in WORK/translate/epochs.png. To
    take another one: meatus train translate WORK --epoch NUMBER.
    """
    folder = work / "translate"
    check_folders(folder)
    kept = kept_epochs(folder)
    if not kept:
        raise TrainingError(
            f"{folder / FOLDER}: no epoch is kept; set keep_epochs in translate.yaml and train."
        )
    Console(width=100).print(_table(kept))
    sheet = folder / "epochs.png"
    write_whole(sheet, png_bytes(_side_by_side(folder, kept)))
    numbers = ", ".join(str(epoch.number) for epoch in kept)
    click.echo(f"{sheet}: source, translated and target of epochs {numbers}")


def _table(kept: Sequence[Epoch]) -> Table:
    table = Table(
        "epoch", *(f"{name}" for name in asdict(kept[0].measured)), "short of the best", ""
    )
    best = choose_epoch(kept)
    for epoch, short in zip(kept, shortfalls(kept), strict=True):
        numbers = [f"{value:.3f}" for value in asdict(epoch.measured).values()]
        mark = "chosen" if epoch == best else ""
        table.add_row(str(epoch.number), *numbers, f"{short:.2f}", mark)
    return table


def _side_by_side(folder: Path, kept: Sequence[Epoch]) -> NDArray[np.uint8]:
    files = [folder / FOLDER / f"epoch_{epoch.number:04d}.png" for epoch in kept]
    return np.hstack([np.asarray(Image.open(file).convert("L")) for file in files])


@torch.no_grad()
def _contrasted(
    state: State,
    source: Tensor,
    target: Tensor,
    styles: Tensor,
    settings: TranslatorSettings,
    rng: torch.Generator,
    fabric: Fabric,
) -> tuple[Tensor, Tensor]:
    """Translated slices (N, C, size, size) and both contrastive losses (2,), on the processor."""
    styled = styles if settings.styles else None
    with fabric.autocast():
        translated = translate_batch(
            state.generator, source, target, styled, settings.layers, identity=settings.identity > 0
        )
        places = draw_places(translated, settings.patches, rng)
        loss = generator_loss(
            state.networks, translated, styled, settings.layers, places, settings.temperature
        )
    both = torch.stack([loss.nce.mean(), loss.identity.mean()])
    return translated.fake.float().cpu(), both.float().cpu()


def _edges(images: Tensor) -> Tensor:
    return (images[..., 1:] - images[..., :-1]).abs()


def _held_out(count: int, share: float) -> tuple[int, ...]:
    number = max(1, round(share * count))
    return tuple(np.linspace(0, count, number, endpoint=False).astype(int).tolist())


def _only(
    data: TranslationData, source: tuple[int, ...], target: tuple[int, ...]
) -> TranslationData:
    return TranslationData(
        Chosen(data.source, source),
        Chosen(data.labels, source),
        Chosen(data.target, target),
        [data.styles[number] for number in target] if data.styles else (),
        data.fingerprint,
    )


def _without(
    data: TranslationData, source: tuple[int, ...], target: tuple[int, ...]
) -> TranslationData:
    others = (
        tuple(number for number in range(len(scans)) if number not in held)
        for scans, held in ((data.source, source), (data.target, target))
    )
    return _only(data, *others)
