"""The main job on one device, quality by quality, and whether its labels are the processor's."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from meatus.engines import Device
from meatus.ensemble import Quality
from meatus_evaluation.benchmark.batch import Command, run_watched
from meatus_evaluation.benchmark.memory import TreeMeter, open_gpu_meter
from meatus_evaluation.benchmark.stages import NETWORK
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.score import score_case

PROCESSOR: Device = "cpu"


@dataclass(frozen=True)
class DeviceRow:
    """One quality on one device; seconds are medians after a warm-up."""

    device: Device
    quality: Quality
    network_s: float
    other_s: float
    rss_mib: float | None
    gpu_mib: float | None
    dice: float | None  # the lowest of all structures, with the processor's labels; None: of these


def time_device(
    scan: Path, weights: Path, device: Device, repeats: int, say: Callable[[str], None]
) -> list[DeviceRow]:
    """The main job on ``scan`` at each quality on ``device``, beside the processor's.

    Each runs in a process of its own. Raises ``InferenceError`` where one fails.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for quality in get_args(Quality):
            reference = Path(name) / f"{quality}_Label.nii.gz"
            for one in dict.fromkeys((PROCESSOR, device)):
                labels = reference if one == PROCESSOR else Path(name) / f"{quality}.nii.gz"
                say(f"{one}, {quality}")
                row = _measured(scan, weights, one, quality, repeats, labels)
                rows.append(_judged(row, Pair(quality, reference, labels)))
    return rows


def row_of(told: str, device: Device, quality: Quality, gpu_mib: float | None) -> DeviceRow:
    """From what ``stages`` printed."""
    found = json.loads(told)
    network_s = found["seconds"].pop(NETWORK)
    other_s = sum(found["seconds"].values())
    return DeviceRow(device, quality, network_s, other_s, found["peak_mib"], gpu_mib, None)


def table_lines(rows: list[DeviceRow]) -> list[str]:
    """A table in Markdown, as the README and docs/speed.md have them."""
    head = ("device", "quality", "s", "of it network, s", "peak MiB", "GPU MiB", "Dice with CPU")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        numbers = (row.network_s + row.other_s, row.network_s)
        more = ((row.rss_mib, 0), (row.gpu_mib, 0), (row.dice, 4))
        cells = [row.device, row.quality, *(f"{number:.2f}" for number in numbers)]
        cells += ["" if value is None else f"{value:.{digits}f}" for value, digits in more]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _measured(
    scan: Path, weights: Path, device: Device, quality: Quality, repeats: int, labels: Path
) -> DeviceRow:
    command = [sys.executable, "-m", "meatus", "stages", str(scan), "--weights", str(weights)]
    command += ["--device", device, "--quality", quality, "--repeats", str(repeats)]
    with open_gpu_meter() as gpu:
        told = run_watched(Command([*command, "--labels", str(labels)]), TreeMeter(), gpu)[1]
        return row_of(told, device, quality, gpu.peak_mib if device != PROCESSOR else None)


def _judged(row: DeviceRow, pair: Pair) -> DeviceRow:
    if row.device == PROCESSOR:
        return row
    dices = score_case(pair).dice.values()
    return DeviceRow(**(vars(row) | {"dice": min(dices, default=1.0)}))
