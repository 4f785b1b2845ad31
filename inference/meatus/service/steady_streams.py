"""Standard output and error that never stop the work, whatever becomes of them.

What their encoding cannot show is replaced. A stream that cannot be written any more (a full disk,
a reader that is gone) is told once, at the end, and the exit code is 1 then. One that the caller
has closed is the null device.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

LINES_LOST = 1  # exit code


@dataclass(eq=False)
class SteadyStream:
    """Writes to another stream for as long as that can be written.

    A class, since it stands in for a stream, whose methods code from elsewhere calls.
    """

    stream: TextIO
    name: str
    losses: dict[str, str] = field(default_factory=dict)  # why streams cannot be written any more
    is_lost: bool = False

    def write(self, text: str) -> int:
        if not self.is_lost:
            try:
                return self.stream.write(text)
            except (OSError, ValueError) as error:  # the second of a stream that was closed
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if not self.is_lost:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        return not self.is_lost and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        """What still waits in buffers goes nowhere, or it would fail again as the process ends."""
        self.is_lost = True
        self.losses[self.name] = (isinstance(error, OSError) and error.strerror) or str(error)
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


def like_stderr(stream: TextIO) -> TextIO:
    """``stream``, which leads where stderr does, as steady as that is, and what it loses told."""
    standard: Any = sys.stderr
    if not isinstance(standard, SteadyStream):
        return stream
    return _steady(stream, standard.name, standard.losses)


@contextmanager
def steady_streams() -> Iterator[None]:
    """Both streams are steady for the block; a ``SystemExit`` of 0 becomes 1 where one was lost."""
    _open_closed()
    losses: dict[str, str] = {}
    kept = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere:
        # Python has None for a stream that was closed before it began.
        sys.stdout = _steady(cast(TextIO | None, kept[0]) or nowhere, "stdout", losses)
        sys.stderr = _steady(cast(TextIO | None, kept[1]) or nowhere, "stderr", losses)
        try:
            yield
        except SystemExit as end:
            _tell(losses)
            if losses and end.code in (None, 0):
                raise SystemExit(LINES_LOST) from None
            raise
        finally:
            sys.stdout, sys.stderr = kept


def _steady(stream: TextIO, name: str, losses: dict[str, str]) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return cast(TextIO, SteadyStream(stream, name, losses))


def _tell(losses: dict[str, str]) -> None:
    """In one line, on the stream that is left."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for name, why in tuple(losses.items()):
        line = f"error: {name} could not be written ({why}), so lines are missing there."
        print(line, file=sys.stdout if name == "stderr" else sys.stderr, flush=True)


def _open_closed() -> None:
    """Have the three standard descriptors open: what is opened next would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
