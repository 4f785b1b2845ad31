"""What a user of the phantom commands can put right."""

from __future__ import annotations

from meatus.errors import MeatusError


class PhantomError(MeatusError):
    """Ends in one line: what was found, what was expected, what to do."""
