"""Where the numbers and scans that are not part of the repository lie, if they are here."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(relative: str) -> Path:
    """A file beside the repository; the test that asks for it is skipped where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not here")
    return path
