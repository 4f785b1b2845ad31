"""The numbers of the published code that are part of the repository."""

from pathlib import Path

GOLDEN = Path(__file__).resolve().parent / "golden"
