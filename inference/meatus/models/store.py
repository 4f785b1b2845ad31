"""The folder of installed sets of weights: ``<store>/<name>/<version>/`` with a manifest each.

Nothing is fetched: a set comes as a zip or a folder, is checked, and is put in its place whole.
"""

from __future__ import annotations

import secrets
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from meatus.errors import OutputError, WeightsError
from meatus.models.card import CARD, model_card
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.weights import (
    MANIFEST,
    Manifest,
    find_members,
    find_networks,
    read_manifest,
)

UNFINISHED = ".unfinished-"
LARGEST = 8 * 2**30  # bytes of a file of an archive; the largest set known has 60 MB
CHUNK = 2**20


@dataclass(frozen=True)
class ModelSet:
    """One set of weights on this machine."""

    folder: Path
    manifest: Manifest
    is_shipped: bool = False

    @property
    def name(self) -> str:
        return self.manifest.name or self.folder.name

    @property
    def version(self) -> str:
        return self.manifest.version or "none"

    @property
    def bytes(self) -> int:
        """Of the members' files that are there."""
        files = (self.folder / member.file for member in self.manifest.members)
        return sum(file.stat().st_size for file in files if file.is_file())


def set_folders(store: Path) -> list[Path]:
    """The folders of ``store`` that should each hold a set, by name, the newest version first."""
    try:
        if not store.is_dir():
            return []
        found = [
            version
            for name in sorted(store.iterdir())
            if name.is_dir() and not name.name.startswith(".")
            for version in sorted(name.iterdir(), key=lambda one: _order(one.name), reverse=True)
            if version.is_dir() and not version.name.startswith(".")
        ]
    except OSError as error:
        raise WeightsError(
            f"{store} cannot be read ({error.strerror}); give this user the right to read it, or "
            "name another folder with MEATUS_MODELS"
        ) from error
    return found


def find_weights(weights: Path, store: Path | None) -> Path:
    """``weights`` itself where it exists, else the installed set of that name.

    ``NAME`` is the newest version, ``NAME@VERSION`` that one; the shipped set has a name too.
    Raises ``WeightsError`` where there is neither.
    """
    asked = str(weights)
    if weights.exists() or store is None or weights.name != asked:
        return weights  # whoever opens it tells that it is missing
    name, _, version = asked.partition("@")
    shipped = read_manifest(DEFAULT_WEIGHTS)
    if asked == "shipped" or (name == shipped.name and version in ("", shipped.version)):
        return DEFAULT_WEIGHTS
    folders = [folder for folder in set_folders(store) if folder.parent.name == name]
    chosen = [folder for folder in folders if version in ("", folder.name)]
    if chosen:
        return chosen[0]
    if folders:
        there = ", ".join(folder.name for folder in folders)
        raise WeightsError(f"{name} is installed as {there}, not as {version}; name one of these")
    raise WeightsError(
        f"{asked} does not exist, and no set of that name is installed in {store}; give a folder "
        f"with {MANIFEST} or one .onnx file, or see 'meatus models list'"
    )


def verify(folder: Path) -> Manifest:
    """Hash every member again and read what it says of itself.

    Raises ``WeightsError`` at the first that is missing, damaged or of another kind.
    """
    find_networks(folder)
    return read_manifest(folder)


def install(source: Path, store: Path) -> tuple[ModelSet, bool]:
    """Put the set in ``source``, a folder or a zip, into ``store``; whether it is new there.

    Raises ``WeightsError`` where it is no whole set with a name and a version, or another set has
    both; ``OutputError`` where the store cannot be written. Nothing half-written stays behind.
    """
    if not source.exists():
        raise WeightsError(f"{source} does not exist; pass a folder or .zip with {MANIFEST}")
    with _scratch(store) as scratch:
        try:
            manifest = _taken(source, scratch)
        except WeightsError as error:
            # The scratch folder's name says nothing to a user.
            raise WeightsError(str(error).replace(str(scratch), str(source))) from error
        place = store / manifest.name / manifest.version
        if place.exists() and _is_whole(place):
            if _hashes(read_manifest(place)) == _hashes(manifest):
                return ModelSet(place, manifest), False
            raise WeightsError(
                f"{source}: {manifest.name} {manifest.version} is installed with other files, in "
                f"{place}; give the new set a version of its own, or remove that folder"
            )
        place.parent.mkdir(exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)  # a damaged one
        scratch.replace(place)
        return ModelSet(place, manifest), True


def _taken(source: Path, scratch: Path) -> Manifest:
    """The set of ``source``, copied to ``scratch`` and checked there."""
    if source.is_dir():
        _copy_folder(source, scratch)
    else:
        _unpack(source, scratch)
    manifest = verify(scratch)
    if not (manifest.name and manifest.version):
        raise WeightsError(
            f"{source}: its {MANIFEST} states no name and version, which tell sets apart; add "
            'both, such as "name": "clinic-a", "version": "1.0"'
        )
    if not (scratch / CARD).is_file():
        (scratch / CARD).write_text(model_card(scratch), encoding="utf-8")
    return manifest


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except WeightsError:
        return False
    return True


def _hashes(manifest: Manifest) -> dict[str, str]:
    return {member.file: member.sha256 for member in manifest.members}


@contextmanager
def _scratch(store: Path) -> Iterator[Path]:
    """A new folder in ``store``, gone afterwards unless it was moved to its place."""
    scratch = store / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        scratch.mkdir(parents=True)
        yield scratch
    except OSError as error:
        raise OutputError(
            f"{store} cannot be written ({error.strerror or error}); make room, see that this user "
            "may write there, or name another folder with MEATUS_MODELS"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):
            store.rmdir()  # where it was made for nothing


def _copy_folder(source: Path, target: Path) -> None:
    """The manifest, what it names, and the card; nothing else that lies beside them."""
    names = [member.file for member in read_manifest(source).members]
    find_members(source)  # says of the source's own files what is wrong with them
    for name in (MANIFEST, CARD, *names):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _unpack(archive: Path, target: Path) -> None:
    """As ``_copy_folder``, out of a zip whose set lies at its top or in one folder."""
    try:
        with zipfile.ZipFile(archive) as opened:
            top = _top(opened.namelist(), archive)
            _extract(opened, f"{top}{MANIFEST}", target / MANIFEST)
            names = [member.file for member in read_manifest(target).members]
            for name in (CARD, *names):
                if f"{top}{name}" in opened.namelist():
                    _extract(opened, f"{top}{name}", target / name)
                elif name != CARD:
                    raise WeightsError(
                        f"{archive}: {name} is named in {MANIFEST} and not in the archive; get it "
                        "again"
                    )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{archive} is no whole zip archive ({error}); get it again, or pass the folder"
        ) from error
    except OSError as error:
        if error.filename not in (None, str(archive)):
            raise  # of the store
        raise WeightsError(f"{archive} cannot be read ({error.strerror or error})") from error


def _top(names: Sequence[str], archive: Path) -> str:
    """The folder of the manifest within an archive, with its slash; empty at the top."""
    found = [name for name in names if PurePosixPath(name).name == MANIFEST]
    usable = [name for name in found if len(PurePosixPath(name).parts) <= 2]
    if len(usable) != 1:
        raise WeightsError(
            f"{archive} holds {len(usable)} files {MANIFEST} at its top or in a folder there; "
            "expected one set"
        )
    return usable[0].removesuffix(MANIFEST)


def _extract(opened: zipfile.ZipFile, name: str, target: Path) -> None:
    """One file of an archive, never more of it than its entry states."""
    size = opened.getinfo(name).file_size
    if size > LARGEST:
        raise WeightsError(f"{opened.filename}: {name} has {size} bytes, more than any weights")
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(name) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file, CHUNK)


def _order(version: str) -> tuple[int, ...]:
    """Versions by their numbers: 1.10 after 1.9; what is none comes first."""
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
