"""The main job, whole: the stored scans, the shipped weights, the command, another folder."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from meatus.engines import usable_threads
from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.ensemble import Model
from meatus.io.images import read_scan
from meatus.pipeline import DEFAULT_WEIGHTS, segment
from meatus.weights import find_networks
from tests.scans.stored import (
    CASES,
    LABELS,
    SCANS,
    SCORES,
    dices,
    predict,
    read_labels,
    scores_of,
)

# Engines and precisions move single voxels at the borders of structures: bfloat16 for float32
# moved 4 of 2929, a Dice of 0.998 or more. The smallest structure has some 130 voxels, so that
# 0.98 allows for five of them; a fault in the pipeline moves far more.
SAME_LABELS = 0.98
# What new voxels at the borders may cost against the truth. A floor is the Dice that was measured
# when the labels were stored (scores.json) less this.
MARGIN = 0.03
# And what no weights may be shipped with, whatever was stored.
LEAST = {"extra_meatal": 0.75, "intra_meatal": 0.65, "whole_vs": 0.8, "cochlea": 0.75}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    done = predict("labels", folder)
    return SimpleNamespace(done=done, labels=folder / "labels")


def test_the_command_labels_every_stored_scan_on_its_own_grid(run):
    assert run.done.returncode == 0, run.done.stderr
    assert sorted(path.name for path in run.labels.iterdir()) == [f"{c}.nii.gz" for c in CASES]
    for case in CASES:
        labels = nib.load(run.labels / f"{case}.nii.gz")
        scan = nib.load(SCANS / f"{case}_T2.nii.gz")
        assert labels.get_data_dtype() == np.uint8
        assert labels.shape == scan.shape
        np.testing.assert_array_equal(labels.affine, scan.affine)


@pytest.mark.parametrize("case", CASES)
def test_the_labels_are_the_stored_ones(run, case):
    found, stored = (read_labels(folder / f"{case}.nii.gz") for folder in (run.labels, LABELS))

    assert min(dices(found, stored).values()) >= SAME_LABELS, "python -m tests.scans.stored"


def test_the_int8_network_labels_a_stored_scan_alike_whatever_the_processor():
    members = find_networks(DEFAULT_WEIGHTS).members
    engines = [OpenVinoEngine(*one, threads=usable_threads(), precision="int8") for one in members]
    model = Model(tuple(engines), members[0][1], "standard")

    found = segment(read_scan(SCANS / "small_T2.nii.gz"), model).labels.voxels.T

    assert min(dices(found, read_labels(LABELS / "small.nii.gz")).values()) >= SAME_LABELS


@pytest.mark.parametrize("case", CASES)
def test_the_shipped_weights_are_as_good_as_when_they_were_measured(run, case):
    measured = json.loads(SCORES.read_text())[case]

    for name, value in scores_of(run.labels)[case].items():
        assert value >= max(measured[name] - MARGIN, LEAST[name]), name


def test_the_stored_scores_are_those_of_the_stored_labels():
    assert scores_of(LABELS) == json.loads(SCORES.read_text())
