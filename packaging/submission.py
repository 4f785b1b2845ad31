"""What grand-challenge.org and the challenge's organisers take: model, description, image.

``python packaging/submission.py OUT``; a command of its own as it ships the program and
is no part of what is shipped.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from meatus import __version__
from meatus.atomic import written_whole
from meatus.errors import InferenceError, OutputError, UsageError
from meatus.grand_challenge import OUTPUT_SLUG
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.weights import MANIFEST, describe, find_members, read_spec

MODEL, IMAGE, DESCRIPTION = "model.tar.gz", "image.tar.gz", "DESCRIPTION.md"
INPUT_SLUG = "t2-brain-mri"
CHUNK = 2**20

# How each tool that may hold a built image saves it as ``docker load`` takes it.
SAVERS = {
    "docker": ("save", "--output", "{file}", "{image}"),
    "podman": ("save", "--format", "docker-archive", "--output", "{file}", "{image}"),
    "buildah": ("push", "--quiet", "{image}", "docker-archive:{file}:{image}"),
}

# What DESCRIPTION.md says, with gaps. Its resources were measured with ``meatus stages`` on the
# benchmark's large scan, with one untrained network of width 32 and 3 blocks, quality "standard":
# 1763 MiB at the peak and 101 s on two cores that other work shared.
TEXT = Path(__file__).with_name("description.md")


@dataclass(frozen=True)
class Sockets:
    """The slugs that a job's two images have on grand-challenge.org."""

    scan: str
    result: str


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), default=DEFAULT_WEIGHTS)
@click.option("--image", help="Name of a built image; it is saved beside the model.")
@click.option("--input-slug", default=INPUT_SLUG, show_default=True)
@click.option("--output-slug", default=OUTPUT_SLUG, show_default=True)
def main(out: Path, weights: Path, image: str | None, input_slug: str, output_slug: str) -> None:
    """Write model tarball, description and, where --image is given, the saved image to OUT."""
    try:
        model = pack_model(weights, out)
        print(f"{model}: weights for /opt/ml/model")
        if image is None:
            print(f"no {IMAGE}: build an image and name it, as in 'make submission IMAGE=meatus'")
            saved = None
        else:
            saved = save_image(image, out)
            print(f"{saved}: image {image}, for docker load or upload")
        sockets = Sockets(input_slug, output_slug)
        text = describe_submission(weights, sockets, (model, saved) if saved else (model,))
        with _whole(out / DESCRIPTION) as file:
            file.write(text.encode())
        print(f"{out / DESCRIPTION}: version, weights, sockets, resources")
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def pack_model(weights: Path, out: Path) -> Path:
    """Pack the members and their manifest flat, the same bytes for the same weights.

    Raises ``WeightsError`` where a member is not whole.
    """
    files = [path for path, _ in find_members(weights)]
    if weights.is_dir():
        files.insert(0, weights / MANIFEST)
    with (
        _whole(out / MODEL) as file,
        _gzipped(file) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for path in files:
            name = path.relative_to(weights) if weights.is_dir() else path.name
            entry = tarfile.TarInfo(str(name))
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return out / MODEL


def save_image(image: str, out: Path) -> Path:
    """Save a built image as ``docker load`` and the upload form take it.

    Raises ``UsageError`` where no tool here has this image.
    """
    if image.startswith("-"):
        raise UsageError(f"'{image}' is no image's name.")
    with tempfile.TemporaryDirectory(dir=_made(out)) as folder:
        saved = Path(folder) / "image.tar"
        _save(image, saved)
        with _whole(out / IMAGE) as file, _gzipped(file) as packed, saved.open("rb") as content:
            shutil.copyfileobj(content, packed, CHUNK)
    return out / IMAGE


def describe_submission(weights: Path, sockets: Sockets, files: tuple[Path, ...]) -> str:
    """The description in Markdown; nothing in it is left to fill in."""
    trained_on = sorted({read_spec(path).trained_on for path, _ in find_members(weights)})
    return TEXT.read_text(encoding="utf-8").format(
        version=__version__,
        trained_on="; ".join(trained_on),
        files="\n".join(_file_line(file) for file in files),
        weights="\n".join(f"    {line}" for line in describe(weights)),
        scan=sockets.scan,
        result=sockets.result,
    )


def _save(image: str, file: Path) -> None:
    """Save with the first tool that can: one may be installed and not know the image."""
    reasons = []
    for tool, pattern in SAVERS.items():
        if shutil.which(tool) is None:
            continue
        command = [tool, *(part.format(file=file, image=image) for part in pattern)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        file.unlink(missing_ok=True)
        reasons.append(f"{tool}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    raise UsageError(
        f"the image '{image}' cannot be saved ({'; '.join(reasons) or 'no tool for images here'}). "
        "Build it with 'make image', or leave --image out."
    )


def _file_line(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"- `{path.name}`: {path.stat().st_size:,} bytes, SHA-256 `{digest}`"


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears as ``path`` once it is complete."""
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        yield file


@contextmanager
def _gzipped(file: BinaryIO) -> Iterator[gzip.GzipFile]:
    """Compressed into ``file``, without the hour, so that equal contents are equal files."""
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
        yield packed


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}).") from error
    return folder


if __name__ == "__main__":
    main(prog_name="python packaging/submission.py")
