"""The stored scans, their truth, and what the shipped weights made of them.

``python -m tests.scans.stored`` renews the labels and their scores: after new weights, or after a
change that is meant to move labels. It prints each Dice before and after.
"""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from meatus.structures import CLASS_NAMES, Structure
from meatus_evaluation.scoring.measures import dice

HERE = Path(__file__).resolve().parent
SCANS, TRUTH, LABELS = HERE / "hrT2", HERE / "truth", HERE / "labels"
SCORES = HERE / "scores.json"
CASES = ("large", "small")


def predict(out, cwd):
    """Label the stored scans into ``out`` as a user does, at the quality of a processor."""
    options = ["--quality", "standard", "--device", "cpu"]
    return subprocess.run(
        [sys.executable, "-m", "meatus", "predict", str(SCANS), str(out), *options],
        cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip


def read_labels(path):
    return np.asanyarray(nib.load(path).dataobj)


def dices(found, wanted):
    """The Dice of each structure, and of the whole tumour, between two label maps."""
    masks = {name: [Structure[name.upper()]] for name in CLASS_NAMES[1:]}
    masks["whole_vs"] = [Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL]
    return {
        name: round(dice(np.isin(found, labels), np.isin(wanted, labels)), 4)
        for name, labels in masks.items()
    }


def scores_of(folder):
    """Each case's Dice against the truth, of the label maps in ``folder``."""
    return {
        case: dices(
            read_labels(folder / f"{case}.nii.gz"), read_labels(TRUTH / f"{case}_Label.nii.gz")
        )
        for case in CASES
    }


def renew():
    before = json.loads(SCORES.read_text()) if SCORES.exists() else {}
    done = predict(LABELS, HERE)
    if done.returncode:
        sys.exit(done.stderr)
    after = scores_of(LABELS)
    for case, row in after.items():
        for name, value in row.items():
            print(f"{case:6} {name:13} {before.get(case, {}).get(name, '-')} -> {value}")
    SCORES.write_text(json.dumps(after, indent=2) + "\n")


if __name__ == "__main__":
    renew()
