"""What a user of the training commands can put right."""

from __future__ import annotations

from meatus.errors import MeatusError


class TrainingError(MeatusError):
    """Ends in one line: what was found, what was expected, what to do."""
