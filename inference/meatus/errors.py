"""Everything that a user can put right.

Every message says what was found, in which file, what was expected and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MeatusError(Exception):
    """Base of all errors that end in one line instead of a traceback."""


class InferenceError(MeatusError):
    """Of labelling scans, and of judging labels."""


class ScanError(InferenceError):
    """One scan cannot be read or segmented; the other cases go on."""


class OutputError(InferenceError):
    """A result cannot be written."""


class WeightsError(InferenceError):
    """A weights file is missing, damaged, or does not say what the pipeline must know."""


class DeviceError(InferenceError):
    """The device that was asked for cannot be used here."""


class UsageError(InferenceError):
    """The command's arguments do not fit together; nothing was started."""


class WorkerError(MeatusError):
    """A process that shared the work was ended from outside."""


def first_fault(error: ValidationError) -> str:
    """The first thing wrong with a file's content: where, and why."""
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"]) or "the whole file"
    return f"at '{where}' ({first['msg']})"


def printable(text: str) -> str:
    """One line: a file's name may hold line ends, a terminal's commands, or undecodable bytes."""
    return "".join(character if character.isprintable() else "?" for character in text)
