"""Input and output as grand-challenge.org lays them out: one job, one image each way.

``inputs.json`` lists the sockets of the job. An image socket is a folder below the input with one
image in it, whose name is the platform's and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AliasChoices, Field, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from meatus.errors import UsageError, WeightsError, first_fault
from meatus.service.cases import Case
from meatus.weights import MANIFEST

INPUTS = "inputs.json"
IMAGES = "images"  # image sockets lie below this folder, on the way in and out
SUFFIX = ".mha"  # the one format that the platform both gives and takes
FLAT_SUFFIXES = (".tif", ".tiff")

OUTPUT_SLUG = "vestibular-schwannoma-segmentation"
MODEL_FOLDER = Path("/opt/ml/model")

SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


@dataclass(frozen=True)
class Socket:
    """Where a job's value comes in, as the platform says."""

    slug: str
    relative_path: str


@dataclass(frozen=True)
class Value:
    """One entry of ``inputs.json``; before 2025 a socket was called an interface."""

    socket: Annotated[Socket, Field(validation_alias=AliasChoices("socket", "interface"))]
    image: JsonValue = None

    @property
    def is_image(self) -> bool:
        return self.image is not None or self.socket.relative_path.startswith(f"{IMAGES}/")


_VALUES = TypeAdapter(tuple[Value, ...])


def is_layout(source: Path) -> bool:
    return (source / INPUTS).is_file()


def find_case(source: Path, output: Path, *, input_slug: str | None, output_slug: str) -> Case:
    """The one case of a job: the image of its image socket, or of the one named ``input_slug``.

    Messages name sockets but no images: what the user called those stays out of the log. Raises
    ``UsageError`` where there is no such image, or not one alone.
    """
    if not SLUG.fullmatch(output_slug):
        raise UsageError(
            f"'{output_slug}' is no slug of a socket; expected lower-case letters, digits and "
            "hyphens, as the output socket shows it on grand-challenge.org."
        )
    sockets = [value.socket for value in _read_values(source / INPUTS) if value.is_image]
    socket = _chosen(sockets, input_slug)
    scan = _only_image(source / _inside(socket))
    result = output / IMAGES / output_slug / f"{scan.stem}{SUFFIX}"
    return Case(scan.stem, scan, result)


def model_weights(folder: Path, shipped: Path) -> tuple[Path, str]:
    """The weights that a job uses, and a line that says why these.

    Raises ``WeightsError`` where the model folder holds networks, but it is unclear which.
    """
    networks = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    if (folder / MANIFEST).is_file():
        return folder, f"weights from the model folder {folder}"
    if len(networks) > 1:
        raise WeightsError(
            f"{folder} holds {len(networks)} .onnx files and no {MANIFEST}; "
            f"put the {MANIFEST} into the model tarball, or one .onnx file alone"
        )
    if networks:
        return networks[0], f"weights from the model folder {folder}, one file without a manifest"
    found = "holds no weights" if folder.is_dir() else "is not there"
    return shipped, f"the model folder {folder} {found}: the weights shipped are used"


def _read_values(path: Path) -> tuple[Value, ...]:
    try:
        return _VALUES.validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise UsageError(
            f"{path} is not as grand-challenge writes it, {first_fault(error)}; expected "
            "a list of objects with 'socket', which has 'slug' and 'relative_path'."
        ) from error


def _chosen(sockets: Sequence[Socket], slug: str | None) -> Socket:
    """The socket with this slug, or the only one where none is asked for."""
    found = ", ".join(sorted(socket.slug for socket in sockets)) or "none"
    wanted = [socket for socket in sockets if slug in (None, socket.slug)]
    if len(wanted) == 1:
        return wanted[0]
    if slug is not None and not wanted:
        raise UsageError(f"{INPUTS} has no image socket '{slug}'; image sockets found: {found}.")
    raise UsageError(
        f"{INPUTS} has {len(wanted)} image sockets, expected one; image sockets found: {found}. "
        "Name the hrT2 scan's with --input-slug or MEATUS_INPUT_SLUG."
    )


def _inside(socket: Socket) -> PurePosixPath:
    """The socket's folder, seen to lie below the input."""
    path = PurePosixPath(socket.relative_path)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(
            f"{INPUTS} gives the socket '{socket.slug}' a relative_path outside the input; "
            f"expected one such as {IMAGES}/{socket.slug}."
        )
    return path


def _only_image(folder: Path) -> Path:
    """The one image of a socket's folder, in a format that tells where its voxels lie."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror}).") from error
    flat = [file for file in files if file.name.lower().endswith(FLAT_SUFFIXES)]
    images = [file for file in files if file.name.lower().endswith(SUFFIX)]
    if len(images) + len(flat) != 1:
        raise UsageError(
            f"{folder} holds {len(images) + len(flat)} images ({SUFFIX}, .tif); expected one."
        )
    if flat:
        raise UsageError(
            f"{folder} holds a TIFF image, which says nothing of slice spacing and orientation; "
            f"upload the hrT2 scan as {SUFFIX} or DICOM."
        )
    return images[0]
