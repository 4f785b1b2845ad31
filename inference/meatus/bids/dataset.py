"""The T2w scans of a BIDS dataset, by participant and session."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meatus.errors import UsageError
from meatus.io.images import NIFTI
from meatus.io.tree import files_below
from meatus.service.cases import BIDS_DATASET

SUFFIX = "_T2w"
ENTITY = re.compile(r"([a-zA-Z]+)-([A-Za-z0-9+]+)")
DATA_FOLDER = "anat"
SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Scan:
    """A T2w file; ``entities`` are its name without the suffix, sub-<label> first."""

    file: Path
    entities: str

    @property
    def folder(self) -> Path:
        """sub-<label>[/ses-<label>]/anat."""
        places = [part for part in self.entities.split("_") if part.startswith(("sub-", "ses-"))]
        return Path(*places, DATA_FOLDER)


def describe(dataset: Path) -> dict[str, Any]:
    """What the dataset says of itself. Raises ``UsageError`` where it is none."""
    file = dataset / BIDS_DATASET
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read ({error.strerror}); a BIDS dataset has it. Pass its folder, or "
            "label scans of other folders with meatus predict."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON ({error}). Correct it.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} is no JSON object. Correct it.")
    return content


def find_scans(
    dataset: Path, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> list[Scan]:
    """The T2w scans of a dataset, sorted; of those ``participants`` and ``sessions`` where named.

    Labels may have their ``sub-`` and ``ses-``. Raises ``UsageError`` where a participant is not
    there, or no scan is.
    """
    wanted = {label.removeprefix("sub-") for label in participants}
    known = sorted(path.name for path in dataset.glob("sub-*") if path.is_dir())
    unknown = sorted(wanted - {name.removeprefix("sub-") for name in known})
    if unknown:
        names = ", ".join(f"sub-{label}" for label in unknown[:SHOWN])
        raise UsageError(
            f"{dataset} has no participant {names}. It has {', '.join(known[:SHOWN]) or 'none'}"
            f"{', ...' if len(known) > SHOWN else ''}."
        )
    of_sessions = {label.removeprefix("ses-") for label in sessions}
    scans = []
    for name in known:
        if wanted and name.removeprefix("sub-") not in wanted:
            continue
        for file in files_below(dataset / name):
            scan = _scan(file, name)
            if scan and (not of_sessions or _session(scan) in of_sessions):
                scans.append(scan)
    if not scans:
        of = " of what was asked for" if wanted or of_sessions else ""
        raise UsageError(
            f"{dataset} holds no T2w scan{of}; expected sub-<label>/[ses-<label>/]anat/"
            f"sub-<label>[_...]{SUFFIX}.nii.gz."
        )
    return sorted(scans, key=lambda scan: scan.entities)


def _scan(file: Path, participant: str) -> Scan | None:
    ending = next((f"{SUFFIX}{end}" for end in NIFTI if file.name.endswith(f"{SUFFIX}{end}")), "")
    entities = file.name.removesuffix(ending)
    named = all(ENTITY.fullmatch(part) for part in entities.split("_"))
    if not ending or file.parent.name != DATA_FOLDER or not named:
        return None
    return Scan(file, entities) if entities.split("_")[0] == participant else None


def _session(scan: Scan) -> str:
    return next((part[4:] for part in scan.entities.split("_") if part.startswith("ses-")), "")
