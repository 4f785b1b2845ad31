"""Probabilities and flags beside the truth, on cases whose numbers are known beforehand."""

import json

import numpy as np
import pytest
import scipy

from meatus.io.images import read_scan, write_labels
from meatus.volumes import Labels
from meatus_evaluation.studies.reliability import (
    CLASSES,
    Answers,
    Trial,
    all_bins,
    answers_of,
    best_temperature,
    count_alarms,
    fill_bins,
)
from tests.meatus.tiny_runs import save_scan, write_weights
from tests.meatus_evaluation.label_maps import ends_in_one_line, run, save_damaged

NOTHING = Answers(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8))


def trial(dice, *flags, answers=NOTHING):
    return Trial("c", dice, 0.9, flags, {}, answers)


def test_voxels_are_sorted_by_their_probability_and_plain_ones_left_out():
    p = np.array([0.0, 0.0, 0.15, 0.18, 0.85, 1.0])
    true = np.array([False, True, False, True, True, True])

    bins = fill_bins(p, true)

    assert bins.voxels.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 1, 1]
    assert bins.true.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(bins.p, [0, 0.33, 0, 0, 0, 0, 0, 0, 0.85, 1])


def test_probabilities_drawn_as_they_say_have_no_error_and_bold_ones_have():
    """Of squared probabilities the mean error is E|u - u^2| = 1/6 for uniform u."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 1, 200_000)
    true = rng.random(p.size) < p

    assert fill_bins(p, true).expected_error < 0.005
    assert fill_bins(np.maximum(p**2, 0.01), true).expected_error == pytest.approx(1 / 6, abs=0.02)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_a_network_lacks_is_found(temperature):
    """Classes are drawn as the softmax of logits says; what is told are the logits times it."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (4, 30, 40, 50))
    p = scipy.special.softmax(logits, axis=0)
    labels = (rng.random(p[0].shape) > p.cumsum(axis=0)).sum(axis=0).astype(np.uint8)
    told = scipy.special.softmax(logits * temperature, axis=0).astype(np.float32)
    halves = [answers_of(told[:, part], labels[part]) for part in (slice(15), slice(15, None))]

    found = best_temperature([trial(1.0, answers=half) for half in halves])

    # voxels that are plainly background are left out, with the few that are none after all
    assert found == pytest.approx(temperature, rel=0.05)


def test_voxels_that_are_plainly_background_say_nothing_of_the_temperature():
    p = np.array([[0.995, 0.995, 0.5], [0.005, 0.005, 0.5], [0, 0, 0], [0, 0, 0]])[:, None, None]
    labels = np.array([0, 1, 0], np.uint8)[None, None]

    found = answers_of(p, labels)

    assert found.true.tolist() == [1, 0]
    np.testing.assert_allclose(found.log_p[:, 0], np.log([0.995, 0.5]), rtol=1e-6)
    assert best_temperature([trial(1.0)]) is None


def test_bins_of_cases_add_up():
    bins = [fill_bins(np.array([p]), np.array([t])) for p, t in ((0.55, True), (0.58, False))]
    trials = [Trial("c", 1.0, 1.0, (), dict.fromkeys(CLASSES, one), NOTHING) for one in bins]

    total = all_bins(trials)["cochlea"]

    assert (total.voxels[5], total.true[5]) == (2, 1)
    assert total.p[5] == pytest.approx(1.13)


def test_flags_of_the_scan_are_no_alarms():
    trials = [
        trial(0.1, "no tumour found"),
        trial(0.69),
        trial(0.7, "few slices: 5, usual are 11 or more"),
        trial(0.9, "low confidence: 0.60, usual is 0.7 or more", "unusual spacing: 2 mm"),
    ]

    found = count_alarms(trials)

    assert (found.poor, found.caught, found.good, found.false) == (2, 1, 2, 1)


@pytest.fixture
def folders(tmp_path):
    """Two heads whose bright balls the network calls cochleae, and truth that agrees on one."""
    scans, truth = tmp_path / "scans", tmp_path / "truth"
    scans.mkdir()
    truth.mkdir()
    for name in ("a", "b"):
        scan = read_scan(save_scan(scans / f"{name}_T2.nii.gz"))
        labels = np.where(scan.voxels >= 1000, 3, 0).astype(np.uint8)
        if name == "b":
            labels[:] = 0
            labels[5:8, 58:64, 58:64] = 1
        write_labels(Labels(labels, scan.geometry), truth / f"{name}_Label.nii.gz")
    (tmp_path / "weights").mkdir()
    return scans, truth, write_weights(tmp_path / "weights")


def test_the_command_tells_each_case_and_writes_numbers_and_curves(folders, tmp_path):
    scans, truth, weights = folders
    files = tmp_path / "r.json", tmp_path / "r.png"

    done = run(
        "reliability", scans, truth, "--weights", weights, "--json", files[0], "--picture", files[1]
    )

    assert done.exit_code == 0, done.output
    told = json.loads(files[0].read_text())
    assert [case["whole_vs_dice"] for case in told["cases"]] == [1.0, 0.0]
    assert told["alarms"] == {"poor": 1, "caught": 1, "good": 1, "false": 1}, "no tumour found"
    cochlea, tumour = (told["structures"][name] for name in ("cochlea", "whole_vs"))
    assert 0.4 < cochlea["share_true"][-1] < 0.6, "of two alike scans one truth has it"
    assert tumour["voxels"][0] == sum(tumour["voxels"]), "the network knows no tumour"
    assert tumour["share_true"][0] * tumour["voxels"][0] == pytest.approx(3 * 6 * 6)
    assert "flagged: 1 of 1 cases with whole-VS Dice below 0.7, 1 of 1 others" in done.output
    assert "best temperature: " in done.output
    assert 0.25 <= told["best_temperature"] <= 8
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_folders_without_a_common_case_end_in_one_line(folders, tmp_path):
    scans, _, weights = folders
    (tmp_path / "other").mkdir()
    save_scan(tmp_path / "other" / "z_Label.nii.gz")

    done = run("reliability", scans, tmp_path / "other", "--weights", weights)

    assert ends_in_one_line(done, 2, "no case in common")


def test_a_damaged_scan_is_named_and_left_out(folders):
    scans, truth, weights = folders
    save_damaged(scans / "b_T2.nii.gz")

    done = run("reliability", scans, truth, "--weights", weights)

    assert ends_in_one_line(done, 1, "b_T2.nii.gz")
    assert "a: whole VS Dice 1.00" in done.output
    assert "flagged: 0 of 0 cases with whole-VS Dice below 0.7, 1 of 1 others" in done.output
