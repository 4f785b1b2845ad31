"""The files that a training goes on from."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from meatus.atomic import write_whole
from meatus_training.errors import TrainingError


def write_state(file: Path, content: Mapping[str, Any]) -> None:
    """Write ``content``; the file appears whole or not at all.

    Raises ``OutputError`` where the disk refuses.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_whole(file, buffer.getvalue())


def read_state(file: Path) -> dict[str, Any]:
    """What ``write_state`` wrote. Raises ``TrainingError`` where the file is damaged."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle and zip errors of many kinds
        raise TrainingError(
            f"{file} is not a whole checkpoint; delete it to start over."
        ) from error
    return content


def check_same_settings(
    file: Path, then: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str], other: str
) -> None:
    """Raise ``TrainingError`` where settings differ that are not ``free`` to change.

    ``other`` says what a user may take instead of going on.
    """
    changed = [name for name in now if name not in free and then.get(name) != now[name]]
    if changed:
        raise TrainingError(
            f"{file} was trained with other settings ({', '.join(changed)}); "
            f"use those, {other}, or delete its folder to start over."
        )


def check_same_scans(file: Path, then: str, now: str, other: str) -> None:
    """Raise ``TrainingError`` where the fingerprints of the scans differ."""
    if then != now:
        raise TrainingError(
            f"{file} was trained on other scans; use {other}, or delete its folder to start over."
        )
