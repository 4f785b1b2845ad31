"""Weights on disk: which files make a model, whether they are whole, and what they say.

A folder of weights has a ``manifest.json`` that names its members and their SHA-256. One
``.onnx`` file alone, such as an imported checkpoint, is accepted too: its metadata says enough
to run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from meatus.errors import WeightsError, first_fault
from meatus.spec import METADATA_KEY, PhysicalCrop, Spec, spec_from_json

MANIFEST = "manifest.json"

# Both become folders' names. A version is two to four numbers: 1.0, 2026.11.2
SET_NAME = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"
SET_VERSION = r"^(\d{1,9}(\.\d{1,9}){1,3})?$"

# Protocol buffers' wire format, and ModelProto.metadata_props of onnx.proto.
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
METADATA_PROPS = 14
KEY, VALUE = 1, 2  # StringStringEntryProto


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, as the manifest describes it."""

    file: str  # below the manifest's folder
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    trained_on: str = ""
    history: tuple[str, ...] = ()  # as in its metadata
    made: dict[str, JsonValue] = field(default_factory=dict)  # seed, commands and the like
    scores: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a folder of weights holds."""

    format: Literal[1]
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    notice: str = ""
    name: Annotated[str, Field(pattern=SET_NAME)] = ""  # of the set; needed to install it
    version: Annotated[str, Field(pattern=SET_VERSION)] = ""
    scores: dict[str, JsonValue] = field(default_factory=dict)  # of all members together
    purpose: str = ""  # what a user should do with it, and what not
    judged_by: tuple[str, ...] = ()  # on what, and how that came out; one sentence each
    limits: tuple[str, ...] = ()  # where it errs


_MANIFEST = TypeAdapter(Manifest)


def find_members(weights: Path) -> list[tuple[Path, Member | None]]:
    """The files of a model in the manifest's order, each whole as its SHA-256 shows.

    ``weights`` is a folder with a manifest, or one ``.onnx`` file, which has no ``Member``.
    """
    if weights.is_file():
        return [(weights, None)]
    if not weights.is_dir():
        raise WeightsError(
            f"{weights} does not exist; expected a folder with {MANIFEST} or one .onnx file"
        )
    return [(_whole_file(weights, member), member) for member in read_manifest(weights).members]


@dataclass(frozen=True)
class Networks:
    """The networks of a set of weights by what they do: files and what they say of themselves."""

    members: tuple[tuple[Path, Spec], ...]  # of the ensemble; at least one, of one input
    scout: tuple[Path, Spec] | None = None  # finds where the members look closely


def find_networks(weights: Path) -> Networks:
    """The ensemble and, if it has one, the scout of ``weights``.

    Raises ``WeightsError`` where a file is missing or damaged, or they do not go together.
    """
    known = [(file, read_spec(file)) for file, _ in find_members(weights)]
    scouts = [one for one in known if one[1].look == "scout"]
    members = tuple(one for one in known if one[1].look != "scout")
    if not members:
        raise WeightsError(
            f"{weights} holds a scout alone, which finds ears but outlines nothing; "
            "give the folder of a whole set of weights"
        )
    if len(scouts) > 1:
        raise WeightsError(
            f"{weights} holds {len(scouts)} scouts, {' and '.join(f.name for f, _ in scouts)}; "
            "keep one"
        )
    check_same_input(members)
    scout = scouts[0] if scouts and members[0][1].look == "ears" else None
    if scout:
        _check_scout(scout, members[0])
    return Networks(members, scout)


def _check_scout(scout: tuple[Path, Spec], member: tuple[Path, Spec]) -> None:
    """Raise ``WeightsError`` where the scout's grid is no whole part of the member's."""
    coarse, fine = scout[1].crop, member[1].crop
    if not (isinstance(coarse, PhysicalCrop) and isinstance(fine, PhysicalCrop)):
        raise WeightsError(f"{scout[0]} and {member[0]}: a scout needs physical crops in both")
    times = coarse.spacing_mm / fine.spacing_mm
    whole = [round(times) * count for count in coarse.size] == list(fine.size)
    if not whole or abs(times - round(times)) > 1e-6:
        raise WeightsError(
            f"{scout[0]}: its field of {coarse.size} voxels of {coarse.spacing_mm} mm is not that "
            f"of {member[0].name}, {fine.size} of {fine.spacing_mm} mm, in coarser steps; "
            "use the scout of the same set"
        )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of ``folder``, checked; no member's file is opened."""
    path = folder / MANIFEST
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(
            f"{folder} holds no {MANIFEST}, so its files cannot be checked; "
            "give the folder that has one, or a single .onnx file"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise WeightsError(
            f"{path} is not a usable manifest {first_fault(error)}; get it again"
        ) from error
    _check_names(path, [member.file for member in manifest.members])
    return manifest


def read_spec(path: Path) -> Spec:
    """What the network in ``path`` says of itself; needs no runtime."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    text = metadata_props(data, str(path)).get(METADATA_KEY)
    if text is None:
        raise WeightsError(
            f"{path} has no '{METADATA_KEY}' entry in its metadata: it was not exported for this "
            "program, or lost its end; export it with 'meatus train export', or get it again"
        )
    return spec_from_json(text, str(path))


def describe(weights: Path) -> Iterator[str]:
    """For a user: each member, its shape, what it was trained on, its scores."""
    for path, member in find_members(weights):
        spec = read_spec(path)
        checked = "SHA-256 as in the manifest" if member else "single file, not in a manifest"
        yield f"weights {path.name}: {checked}"
        yield f"  {spec.name}, width {spec.width}, {spec.blocks} blocks, {spec.precision}"
        yield f"  input: {spec.crop}, {spec.normalisation}, {spec.window}"
        yield f"  trained on {spec.origin} ({spec.date}, code {spec.training_version})"
        yield f"  licence: {spec.licence}"
        for name, value in (member.made | member.scores if member else {}).items():
            yield f"  {name}: {value}"


def check_same_input(specs: Sequence[tuple[Path, Spec]]) -> None:
    """Raise ``WeightsError`` where two members of one ensemble do not see the same input."""
    (first_path, first), *others = specs
    for path, spec in others:
        if not first.same_input(spec):
            names = ("crop", "normalisation", "window", "classes", "look")
            unlike = [name for name in names if getattr(first, name) != getattr(spec, name)]
            raise WeightsError(
                f"{path} and {first_path} cannot be averaged: they differ in "
                f"{', '.join(unlike)}; keep members of one kind in a folder"
            )


def metadata_props(data: bytes, file: str) -> dict[str, str]:
    """The ``metadata_props`` of an ONNX model, read from its bytes; ``file`` is for messages.

    Only the outermost fields are walked, so the size of the network does not matter. Raises
    ``WeightsError`` where the bytes end too early or are no protocol buffer.
    """
    try:
        entries = [
            dict(_fields(value))
            for number, value in _fields(memoryview(data))
            if number == METADATA_PROPS
        ]
        return {
            bytes(entry.get(KEY, b"")).decode(): bytes(entry.get(VALUE, b"")).decode()
            for entry in entries
        }
    except ValueError as error:  # UnicodeDecodeError is one
        raise WeightsError(
            f"{file} is not a whole ONNX file ({error}); it is damaged: get it again"
        ) from error


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of one message; numbers stay as their bytes.

    Raises ``ValueError`` where a field does not fit into ``data``.
    """
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            begin, (_, position) = position, _varint(data, position)
        elif wire == LENGTH:
            length, begin = _varint(data, position)
            position = begin + length
        elif wire in (FIXED32, FIXED64):
            begin, position = position, position + (4 if wire == FIXED32 else 8)
        else:  # groups, which onnx.proto does not use, or no wire type at all
            raise ValueError(f"no protocol buffer field at byte {start}")
        if number == 0 or position > len(data):
            raise ValueError(f"the field at byte {start} of {len(data)} is cut off or damaged")
        yield number, data[begin:position]


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of 7 bits per byte, lowest first, and the position behind it."""
    number = 0
    for count, byte in enumerate(data[position : position + 10]):  # 64 bits at most
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return number, position + count + 1
    raise ValueError(f"the number at byte {position} of {len(data)} is cut off or damaged")


def _check_names(manifest: Path, names: list[str]) -> None:
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or parts.name == "":
            raise WeightsError(
                f"{manifest} names the file '{name}', which is not inside its folder; "
                "put the file there and give its name alone"
            )
    if len(set(names)) < len(names):
        raise WeightsError(f"{manifest} names a file twice; each member counts once: remove one")


def _whole_file(folder: Path, member: Member) -> Path:
    """The member's file, once its SHA-256 is seen to be the manifest's."""
    path = folder / member.file
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path} is named in {MANIFEST} but cannot be read ({error.strerror}); get it again"
        ) from error
    if found != member.sha256:
        raise WeightsError(
            f"{path} does not match its SHA-256 in {MANIFEST}: expected {member.sha256[:12]}…, "
            f"found {found[:12]}…; the file is damaged or was exchanged; get it again"
        )
    return path
