"""Files as streams of voxels: read front to back, inflated on the way, never beyond need.

What a header claims is compared with the file's size before memory is taken, and memory is
taken for the result alone, whatever a compressed stream unfolds to.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from meatus.errors import ScanError
from meatus.geometry import Array
from meatus.io.headers import Header

GZIP = b"\x1f\x8b"
NOT_BLOCKING = getattr(os, "O_NONBLOCK", 0)  # Windows has none, nor pipes among files
CHUNK = 2**20  # bytes read, converted or skipped at once

# Deflate's best: 258 bytes in two bits (zlib's technical notes).
DEFLATE_LIMIT = 1032

CUT = "Copy or export the scan again."


class Stream(Protocol):
    def read(self, count: int, /) -> bytes:
        """The next ``count`` bytes; fewer only where the stream ends."""


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """``path`` open for reading; nothing but a regular file, which cannot block.

    Raises ``ScanError`` for a folder, a pipe, a socket or a device, and ``OSError``.
    """
    _check_regular(path.stat())  # before opening: that alone may act on a device
    # Not blocking: a pipe that has taken the file's place meanwhile must not stop the run.
    with os.fdopen(os.open(path, os.O_RDONLY | NOT_BLOCKING), "rb") as file:
        _check_regular(os.fstat(file.fileno()))
        yield file


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise ScanError(f"{kind}, not a file. Pass the scan's file.")
    if status.st_size == 0:
        raise ScanError("empty (0 bytes); expected a scan. " + CUT)


class Inflater:
    """Inflates a gzip or zlib stream from where ``file`` stands, as far as it is read.

    A class, since zlib's own state goes on from one call to the next.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin(b"")

    def _begin(self, packed: bytes) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by its magic
        self._packed = packed

    def read(self, count: int, /) -> bytes:
        """Raises ``ScanError`` where the stream is damaged or does not come to its end."""
        pieces = []
        while count > 0 and self._more():
            try:
                piece = self._zlib.decompress(self._packed, count)
            except zlib.error as error:
                raise ScanError("its compressed data is damaged. " + CUT) from error
            if not piece and not self._packed and not self._zlib.eof:
                raise ScanError("its compressed data is cut short. " + CUT)
            self._packed = self._zlib.unconsumed_tail
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _more(self) -> bool:
        """Whether the stream goes on; has ``_packed`` filled unless the file is at its end."""
        if self._zlib.eof:  # gzip files may consist of several members
            rest = self._zlib.unused_data
            rest += self._file.read(CHUNK) if len(rest) < len(GZIP) else b""
            if not rest.startswith(GZIP):
                return False
            self._begin(rest)
        elif not self._packed:
            self._packed = self._file.read(CHUNK)
        return True


def read_voxels(file: BinaryIO, stream: Stream, header: Header) -> Array:
    """The voxels (Z, Y, X) that ``stream`` holds next, scaled.

    Raises ``ScanError`` where ``file`` cannot hold as many as its header claims, or does not.
    """
    inflated = isinstance(stream, Inflater)
    _check_claim(os.fstat(file.fileno()).st_size, header, inflated=inflated)
    voxels = np.empty(header.geometry.shape, dtype=np.float32)
    flat = voxels.reshape(-1)
    block = CHUNK // header.dtype.itemsize
    for start in range(0, flat.size, block):
        chunk = flat[start : start + block]
        stored = stream.read(chunk.size * header.dtype.itemsize)
        if len(stored) < chunk.size * header.dtype.itemsize:
            found = start * header.dtype.itemsize + len(stored)
            raise ScanError(_cut_short(found, header))
        _convert(np.frombuffer(stored, header.dtype), header, chunk)
    if inflated:
        stream.read(1)  # the checksum follows the last voxel; a longer stream is left alone
    return voxels


def _convert(stored: NDArray[np.generic], header: Header, chunk: Array) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found as not finite
        if (header.slope, header.intercept) == (1.0, 0.0):
            chunk[:] = stored
        else:
            chunk[:] = stored.astype(np.float64) * header.slope + header.intercept


def _check_claim(file_bytes: int, header: Header, *, inflated: bool) -> None:
    held = file_bytes - header.offset
    if not inflated and header.voxel_bytes > held:
        raise ScanError(_cut_short(max(held, 0), header))
    if header.voxel_bytes > DEFLATE_LIMIT * file_bytes:
        raise ScanError(
            f"its header claims {header.voxel_bytes:,} bytes of voxels, more than a compressed "
            f"file of {file_bytes:,} bytes can hold. " + CUT
        )


def _cut_short(found: int, header: Header) -> str:
    return f"{found:,} bytes of voxels; its header promises {header.voxel_bytes:,}. {CUT}"


def skip(stream: Stream, count: int) -> None:
    """Leave ``count`` bytes unread, or all there are."""
    while count > 0:
        passed = len(stream.read(min(count, CHUNK)))
        if passed == 0:
            return
        count -= passed
