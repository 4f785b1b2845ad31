"""Which layout a folder has, and what it holds."""

from __future__ import annotations

from pathlib import Path

from meatus_training.errors import TrainingError
from meatus_training.prepare.challenge import find_challenge
from meatus_training.prepare.nnunet import data_sets, find_nnunet
from meatus_training.prepare.raw import Found


def find_scans(data: Path) -> Found:
    """All scans of ``data``, in whichever layout.

    Raises ``TrainingError`` where ``data`` cannot be read or holds nothing at all.
    """
    try:
        found = find_nnunet(data) if data_sets(data) else find_challenge(data)
    except OSError as error:
        raise TrainingError(
            f"{error.filename or data}: cannot be read ({error.strerror}); "
            "pass the folder of the scans, with the right to read all of it."
        ) from error
    if not found.cases and not found.problems:
        raise TrainingError(
            f"{data}: holds no scan; expected the challenge's folders with *_ceT1.nii.gz, "
            "*_Label.nii.gz and *_T2.nii.gz (2021, 2022: *_hrT2.nii.gz), or nnU-Net's raw folders "
            "with dataset.json, imagesTr and labelsTr."
        )
    return found
