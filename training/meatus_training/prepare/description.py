"""What the dataset.json of an nnU-Net data set says, of versions 1 and 2.

https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meatus.io.images import SCAN_SUFFIXES
from meatus_training.prepare.cases import Modality
from meatus_training.prepare.raw import Part

FILE = "dataset.json"

# What names of channels and of labels are taken for: the first that fits.
CHANNELS: tuple[tuple[str, Modality], ...] = (("t1", "ceT1"), ("t2|ciss|fiesta", "hrT2"))
PARTS: tuple[tuple[str, Part], ...] = (
    ("background", "background"),
    ("cochlea", "cochlea"),
    (r"\bextra", "extra_meatal"),
    (r"\bintra", "intra_meatal"),
    (r"schwannoma|tumou?r|\bvs\b", "tumour"),
)


@dataclass(frozen=True)
class Description:
    """The part of a dataset.json that matters here."""

    folder: Path
    ending: str  # of its files: .nii.gz
    channels: tuple[tuple[str, Modality], ...]  # ("0000", "ceT1")
    parts: tuple[Part, ...]  # by the number in the label map
    count: int | None  # of training cases


def describe(folder: Path) -> tuple[Description | None, list[str]]:
    """The description of ``folder``, or none and everything that is wrong with it."""
    try:
        told: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, [f"cannot be read ({error})."]
    if not isinstance(told, dict):
        return None, ["expected an object with channel_names, labels and file_ending."]
    ending, count = str(told.get("file_ending", ".nii.gz")), told.get("numTraining")
    channels, wrong_channels = _channels(told.get("channel_names", told.get("modality")))
    parts, wrong_parts = _parts(told.get("labels"))
    problems = wrong_channels + wrong_parts
    if ending.lower() not in SCAN_SUFFIXES:
        problems.append(f"file_ending is {ending}; expected {', '.join(SCAN_SUFFIXES)}.")
    if problems:
        return None, problems
    known = count if isinstance(count, int) else None
    return Description(folder, ending, channels, parts, known), []


def _channels(told: Any) -> tuple[tuple[tuple[str, Modality], ...], list[str]]:
    if not isinstance(told, dict) or not told:
        return (), ['no channel_names; expected {"0": "ceT1"} or {"0": "T2"}.']
    channels, problems = [], []
    for number, name in told.items():
        fits = [kind for pattern, kind in CHANNELS if re.search(pattern, str(name).lower())]
        if fits and str(number).isdecimal():
            channels.append((f"{int(number):04d}", fits[0]))
        else:
            problems.append(f"channel {number} is '{name}'; expected a name with T1 or T2 in it.")
    return tuple(channels), problems


def _parts(told: Any) -> tuple[tuple[Part, ...], list[str]]:
    """Version 1 has {number: name}, version 2 {name: number}."""
    if not isinstance(told, dict) or not told:
        return (), ["no labels; expected their names and numbers."]
    numbered: dict[int, Part] = {}
    problems = []
    for one, other in told.items():
        label, number = (other, one) if str(one).isdecimal() else (one, other)
        words = re.sub(r"[_\W]+", " ", str(label).lower())
        fits = [part for pattern, part in PARTS if re.search(pattern, words)]
        if fits and str(number).isdecimal():
            numbered[int(number)] = fits[0]
        else:
            problems.append(
                f"label '{label}' is {number}; expected one whole number each for background, "
                "extra-meatal and intra-meatal tumour (or the whole tumour) and cochlea."
            )
    parts = tuple(part for _, part in sorted(numbered.items()))
    in_order = list(range(len(told))) == sorted(numbered)
    if not problems and not (
        in_order and parts[0] == "background" and len(set(parts)) == len(told)
    ):
        problems.append(
            f"labels are {json.dumps(told)}; expected 0 (background), 1, 2... once each."
        )
    return parts, problems
