"""The files of a study: in a folder of any depth, in a zip archive, or one alone."""

from __future__ import annotations

import errno
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

from meatus.errors import ScanError, UsageError, printable
from meatus.io.streams import regular_file
from meatus.io.tree import files_below

ZIP = ".zip"
ENCRYPTED = 0x1  # of a zip member's flags

# One enhanced MR file of the largest grid that is read, with room for its header. Nothing larger
# is unpacked, whatever an archive claims to hold.
LARGEST_MEMBER = 2**31

# What is raised where an archive is damaged, or packed in ways that are not known here.
UNPACKING = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)

PREAMBLE = 128
MARK = b"DICM"
# Files without a preamble begin with an element of group 2 or 8 (PS3.5, 7.1; little endian).
BARE_STARTS = (b"\x02\x00\x00\x00", b"\x02\x00\x01\x00", b"\x08\x00\x00\x00", b"\x08\x00\x01\x00",
               b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x08\x00\x16\x00")  # fmt: skip


@dataclass(frozen=True, order=True)
class Entry:
    """A file, or a file in a zip archive."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.member}" if self.member else str(self.path))

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file for reading, which can be sought in.

        Raises ``ScanError`` for what is no regular file, and ``OSError``, of archives too.
        """
        if not self.member:
            with regular_file(self.path) as file:
                yield file
            return
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as unpacked:
                yield cast(BinaryIO, unpacked)
        except UNPACKING as error:
            raise OSError(errno.EIO, f"the archive is damaged, {error}") from error

    @contextmanager
    def on_disk(self, scratch: Path | None) -> Iterator[Path]:
        """A path that compiled readers can open; unpacked into ``scratch`` for the block."""
        if not self.member:
            yield self.path
            return
        with TemporaryDirectory(dir=scratch, prefix="dicom-") as folder:
            copy = Path(folder) / "image.dcm"
            with self.opened() as packed, copy.open("wb") as file:
                shutil.copyfileobj(packed, file)
            yield copy


def entries_in(source: Path, *, recursive: bool = True) -> Iterator[Entry]:
    """Every file of ``source`` that is not hidden, in order of their names.

    Raises ``UsageError`` where ``source`` cannot be read.
    """
    if source.is_dir():
        found = files_below(source, recursive=recursive)
        yield from (Entry(path) for path in found if not path.is_dir())
    elif source.name.lower().endswith(ZIP):
        yield from _members(source)
    else:
        yield Entry(source)


def _members(source: Path) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(source) as archive:
            found = [item for item in archive.infolist() if not item.is_dir()]
    except Exception as error:  # whatever the list of members may say
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{source} is no zip archive that can be read ({reason}). Copy it again, or unpack "
            "it and pass the folder."
        ) from error
    if any(item.flag_bits & ENCRYPTED for item in found):
        raise UsageError(f"{source} is encrypted. Unpack it with its password and pass the folder.")
    large = next((item for item in found if item.file_size > LARGEST_MEMBER), None)
    if large is not None:
        raise UsageError(
            f"{source} holds a file of {large.file_size:,} bytes, more than any series has. "
            "Unpack it and pass the series' folder."
        )
    visible = (item.filename for item in found if not _hidden(item.filename))
    yield from (Entry(source, name) for name in sorted(visible))


def _hidden(member: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in member.split("/"))


def looks_like_dicom(entry: Entry) -> bool:
    """Whether a file begins as DICOM does; one that cannot be read does not."""
    try:
        with entry.opened() as file:
            head = file.read(PREAMBLE + len(MARK))
    except (OSError, ScanError, RuntimeError, ValueError):
        return False
    return head[PREAMBLE:] == MARK or head.startswith(BARE_STARTS)
