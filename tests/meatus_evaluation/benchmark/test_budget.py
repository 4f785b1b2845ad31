import json

import pytest

from meatus_evaluation.benchmark.batch import Usage
from meatus_evaluation.benchmark.budget import (
    Budgets,
    check_accuracy,
    check_budgets,
    check_ratios,
    is_broken,
)
from meatus_evaluation.benchmark.ratios import Ratios, write_ratios
from meatus_evaluation.commands import benchmarks
from tests.meatus_evaluation.label_maps import TRUTH, ends_in_one_line, run, save

NO_GPU = Usage(
    cases=2, warm_up_s=60.0, seconds=20.0, rss_mib=800.0, gpu_mib=None, gpu_note="no GPU here"
)
MOMENT = "import time; time.sleep(0.3)"
STORED = Ratios(network=2.0, other=1.5, processor="any")


def test_seconds_are_per_case_and_the_warm_up_is_apart():
    lines = {line.name: line for line in check_budgets(NO_GPU, Budgets(seconds=9.9))}

    assert (lines["per case, s"].measured, lines["per case, s"].verdict) == (10.0, "broken")
    assert lines["warm-up, s"].verdict == "no budget"
    assert "2 cases" in lines["per case, s"].note


def test_the_papers_numbers_are_the_defaults():
    assert (Budgets().seconds, Budgets().gpu_mib, Budgets().rss_mib) == (27, 5413, None)


def test_without_a_gpu_its_budget_is_not_measured_unless_one_is_required():
    plain = check_budgets(NO_GPU, Budgets())
    required = check_budgets(NO_GPU, Budgets(), require_gpu=True)

    assert (plain[-1].verdict, plain[-1].note) == ("not measured", "no GPU here")
    assert not is_broken(plain)
    assert required[-1].verdict == "broken"


def test_resident_memory_on_the_budget_keeps_it_and_above_breaks_it():
    assert check_budgets(NO_GPU, Budgets(rss_mib=800.0))[2].verdict == "kept"
    assert check_budgets(NO_GPU, Budgets(rss_mib=799.9))[2].verdict == "broken"


def test_a_broken_budget_ends_with_1_and_names_it(scans, batch):
    batch(MOMENT)

    done = run("budget", scans, "--max-seconds", 0.01, "--max-rss-mib", 1)

    names = "over budget: per case, s, peak resident memory, MiB"
    assert ends_in_one_line(done, 1, names)
    assert "broken" in done.stdout


def test_a_structure_below_the_least_dice_breaks_the_budget_and_one_on_it_keeps_it():
    usage = Usage(2, 1.0, 1.0, None, None, "", {"intra_meatal": 0.8, "cochlea": 0.79})

    lines = check_accuracy(usage, Budgets(dice=0.8))

    assert [(line.name, line.verdict) for line in lines] == [
        ("Dice, intra-meatal", "kept"),
        ("Dice, cochlea", "broken"),
    ]
    assert {line.verdict for line in check_accuracy(usage, Budgets())} == {"no budget"}


@pytest.mark.parametrize(
    ("network", "other", "verdicts"),
    [
        (2.4, 1.79, ["kept", "kept"]),  # a fifth more is on the line
        (2.41, 1.0, ["broken", "kept"]),
        (1.0, 1.81, ["kept", "broken"]),
    ],
)
def test_more_than_a_fifth_above_a_stored_ratio_breaks_it(network, other, verdicts):
    lines = check_ratios(Ratios(network, other, "another"), STORED)

    assert [line.verdict for line in lines] == verdicts
    assert "stored 2.00" in lines[0].note


def writes(label_map):
    """A batch that leaves the file ``label_map`` for each scan."""
    return f"""
import shutil, sys
for case in "ab":
    shutil.copy({str(label_map)!r}, sys.argv[1] + f"/{{case}}.nii.gz")
"""


def test_labels_are_scored_against_the_truth(scans, batch, tmp_path):
    cochlea_missed = save(
        tmp_path / "found.nii.gz", {label: box for label, box in TRUTH.items() if label != 3}
    )
    for case in "ab":
        save(tmp_path / "truth" / f"{case}_Label.nii.gz")
    batch(writes(cochlea_missed))

    found = tmp_path / "b.json"
    done = run("budget", scans, "--truth", tmp_path / "truth", "--min-dice", 0.9, "--json", found)

    dice = json.loads(found.read_text())["dice"]
    assert (dice["extra_meatal"], dice["cochlea"]) == (1.0, 0.0)
    assert ends_in_one_line(done, 1, "over budget: Dice, cochlea")


@pytest.fixture
def measured(monkeypatch):
    """Ratios that a measurement would give; what was measured."""
    asked = []

    def make(ratios):
        monkeypatch.setattr(
            benchmarks, "measure_ratios", lambda *arguments: asked.append(arguments) or ratios
        )
        return asked

    return make


def test_a_main_job_slower_than_stored_ends_with_1(scans, batch, measured, tmp_path):
    batch(MOMENT)
    asked = measured(Ratios(2.0, 3.0, "here"))
    write_ratios(tmp_path / "ratios.json", STORED)

    done = run("budget", scans, "--ratios", tmp_path / "ratios.json", "--rounds", 3)

    assert asked == [(scans / "a_T2.nii.gz", 3)]
    assert ends_in_one_line(done, 1, "over budget: other stages, in fixed work")


def test_ratios_are_renewed_and_nothing_else_is_done(scans, batch, measured, tmp_path):
    started, file = batch(MOMENT), tmp_path / "ratios.json"
    measured(STORED)

    done = run("budget", scans, "--ratios", file, "--renew")

    assert (done.exit_code, started) == (0, [])
    assert json.loads(file.read_text()) == {"network": 2.0, "other": 1.5, "processor": "any"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--min-dice", 0.8], "--truth"),
        (["--renew"], "--ratios"),
        (["--truth", "nowhere"], "nowhere is no folder"),
        (["--ratios", "nowhere.json"], "nowhere.json holds no stored ratios"),
    ],
)
def test_options_that_lack_something_end_with_2_before_anything_runs(scans, batch, options, words):
    started = batch(MOMENT)

    assert ends_in_one_line(run("budget", scans, *options), 2, words)
    assert started == []
