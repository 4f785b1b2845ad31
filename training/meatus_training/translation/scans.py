"""The translation of all source scans, one file for each scan and style."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from meatus.atomic import write_whole
from meatus.intensity import BLACK
from meatus_phantom.array_files import array_bytes
from meatus_training.dataset import Sample
from meatus_training.prepare.cases import PreparedCase
from meatus_training.translation.apply import translate_volume
from meatus_training.translation.data import with_target_contrast
from meatus_training.translation.networks import Generator
from meatus_training.translation.settings import ApplySettings, TranslatorSettings

VOXELS, MADE_OF = ".voxels.npy", ".made_of.json"
FORMAT = 2  # of what is written; 1: padding was whatever the generator made of it

# Red, green, blue: extra-meatal, intra-meatal, cochlea, as the challenge paints them.
COLOURS = np.array([[255, 60, 60], [60, 230, 60], [90, 130, 255]], dtype=np.uint8)


@dataclass(frozen=True)
class Translator:
    """A trained generator on its device, and how it is to be applied."""

    generator: Generator
    settings: TranslatorSettings
    how: ApplySettings
    styles: Sequence[str]  # names, by number

    def number(self, style: str) -> int | None:
        """The generator's number of a style; None where it knows only one."""
        return None if self.generator.styles == 0 else self.styles.index(style)


def translate_scans(
    cases: Sequence[PreparedCase],
    translator: Translator,
    folder: Path,
    fabric: Fabric,
    say: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> tuple[int, int]:
    """Write ``<case>--<style>.voxels.npy`` of each of ``cases``: how many were made, and wanted.

    Fewer where ``should_stop`` came first. Files of the same generator, settings and scan stay
    as they are; translations of other scans or styles are removed. Each process translates its
    share, and counts that alone.
    """
    jobs = [(case, style) for case in cases for style in translator.styles]
    if fabric.is_global_zero:
        _remove_others(folder, {_name(case, style) for case, style in jobs})
    weights = digest_of(translator.generator)
    todo = list(_to_do(jobs[fabric.global_rank :: fabric.world_size], translator, weights, folder))
    for number, (case, style, made_of) in enumerate(todo):
        if should_stop():
            return number, len(todo)
        voxels = case.load_voxels()
        found = translate_volume(
            translator.generator,
            _seen(case, translator.settings),
            translator.settings,
            fabric,
            translator.number(style),
            translator.how,
            voxels.shape[1:],
        )
        _write(folder, case, style, with_padding(found, voxels), made_of)
        say(f"[{number + 1}/{len(todo)}] {_name(case, style)}")
    return len(todo), len(todo)


def _seen(case: PreparedCase, settings: TranslatorSettings) -> NDArray[np.floating]:
    """The slices that a translator of ``settings`` has learnt on."""
    slices = case.load_slices(settings.size) if settings.fit == "zoom" else case.load_voxels()
    return with_target_contrast(slices, case.load_labels(), settings)


def with_padding(
    translated: NDArray[np.float16], voxels: NDArray[np.float16]
) -> NDArray[np.float16]:
    """``translated``, black where ``voxels`` is black in all slices; both (Z, Y, X).

    That is what pads a part of a head to a square. A real scan has it black too, while a
    generator draws something there.
    """
    return np.where((voxels == BLACK).all(axis=0), np.float16(BLACK), translated)


def digest_of(network: nn.Module) -> str:
    """Of all its weights; sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


def _to_do(
    jobs: Sequence[tuple[PreparedCase, str]], translator: Translator, weights: str, folder: Path
) -> Iterator[tuple[PreparedCase, str, str]]:
    """Scan, style and what the file is made of, of each file that is not there so."""
    for case, style in jobs:
        parts = [FORMAT, weights, translator.number(style), asdict(translator.how), case.digest]
        made_of = json.dumps(parts) + "\n"
        note, array = (folder / f"{_name(case, style)}{end}" for end in (MADE_OF, VOXELS))
        if not (array.exists() and note.exists() and note.read_text() == made_of):
            yield case, style, made_of


def _write(
    folder: Path, case: PreparedCase, style: str, voxels: NDArray[np.float16], made_of: str
) -> None:
    """The array, then a picture, and last the note that says that both are whole."""
    name = _name(case, style)
    (folder / f"{name}{MADE_OF}").unlink(missing_ok=True)
    write_whole(folder / f"{name}{VOXELS}", array_bytes(voxels))
    write_view(folder / "pictures" / f"{name}.png", case.sample(), voxels)
    write_whole(folder / f"{name}{MADE_OF}", made_of.encode())


def _name(case: PreparedCase, style: str) -> str:
    return f"{case.name}--{style}"


def _remove_others(folder: Path, names: set[str]) -> None:
    for end in (MADE_OF, VOXELS):
        for file in folder.glob(f"*{end}"):
            if file.name.removesuffix(end) not in names:
                file.unlink()


def write_view(file: Path, sample: Sample, translated: NDArray[np.float16]) -> None:
    """Source, translation, and the translation with the labels' outlines; then a coronal cut.

    The slice is the one with the most labelled voxels; the cut along z, where slices that do
    not fit one another show, goes through the labels' middle.
    """
    marked = sample.labels > 0
    z = int(marked.sum(axis=(1, 2)).argmax())
    y = int(marked.sum(axis=(0, 2)).argmax())
    rows = []
    for cut in (np.s_[z], np.s_[:, y]):
        found = translated[cut]
        outlined = _outlined(found, sample.labels[cut])
        rows.append(np.hstack([_grey(sample.voxels[cut]), _grey(found), outlined]))
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, "PNG")
    write_whole(file, buffer.getvalue())


def _grey(plane: NDArray[np.float16]) -> NDArray[np.uint8]:
    """(A, B) in [-1, 1] to (A, B, 3)."""
    grey = np.rint((np.clip(plane.astype(np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _outlined(plane: NDArray[np.float16], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``plane`` with the inner border of each structure in its colour, (A, B, 3)."""
    picture = _grey(plane)
    for number, colour in enumerate(COLOURS, start=1):
        mask = labels == number
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture
