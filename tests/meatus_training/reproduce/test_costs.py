"""What a reproduction is said to take."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from meatus_training.reproduce.cli import reproduce
from meatus_training.reproduce.costs import Costs
from meatus_training.reproduce.plan import (
    Side,
    loading_lines,
    plan_stages,
    shared_memory_line,
    waiting_share,
)
from meatus_training.reproduce.settings import load_all
from tests.meatus_training.prepare.folders import write_challenge

# The challenge's folders: 227 ceT1 scans and 295 hrT2 scans, 50 slices each to count easily.
SOURCE, TARGET = Side(227, 227 * 50, 3), Side(295, 295 * 50, 3)
VALIDATION = Side(96, 96 * 50, 3)
COSTS = Costs(
    prepare_s=1.0,
    translate_step_s=0.2,
    translate_slice_s=0.01,
    segment_pass_s=0.1,
    label_pass_s=0.03,
    load_window_s=0.5,
    load_pair_s=0.01,
)


def planned(processes=1, preset="paper", **changes):
    settings = replace(load_all(preset), **changes)
    stages = plan_stages(SOURCE, TARGET, VALIDATION, settings, COSTS, processes, 8)
    return {stage.name: stage for stage in stages}


def test_steps_are_those_that_the_stages_make():
    stages = planned()

    # 14750 target slices, ten a step, 200 epochs; 227 scans, ten a step, 200 epochs, five members.
    assert stages["translate"].steps == 200 * 1475
    assert stages["segment"].steps == 5 * 4540
    # Rounds show the real scans too that join: seven tenths of 295, then all, were all plausible.
    assert stages["selftrain"].steps == 5 * (20 * (227 + 207) + 20 * (227 + 295))


def test_hours_follow_from_the_measured_costs():
    stages = planned()

    assert stages["segment"].hours == pytest.approx(5 * 4540 * 10 * 0.1 / 3600)
    assert stages["prepare"].hours == pytest.approx((227 + 295 + 96) / 8 / 3600)
    # Mirrored too: 11350 slices twice.
    assert stages["translate"].hours == pytest.approx((295000 * 0.2 + 22700 * 0.01) / 3600)


def test_labelling_costs_what_inference_shows_and_not_what_training_does():
    # Windows of 384 x 384 from every 32nd slice on; upright weights have two views of the eight.
    windows, members = 295 * 50 / 32, 5
    hours = {
        preset: planned(preset=preset)["selftrain"].hours
        - planned(preset=preset)["selftrain"].steps * 10 * 0.1 * window / 3600
        for preset, window in (("paper", 1), ("meatus", 1.6))
    }

    assert hours["paper"] == pytest.approx(2 * windows * members * 8 * 0.03 / 3600)
    assert hours["meatus"] == pytest.approx(2 * windows * members * 2 * 0.03 * 4 / 3600)


def test_what_readers_hold_is_told_with_what_to_do_where_it_is_too_much(tmp_path, monkeypatch):
    settings = load_all("paper")
    there = SimpleNamespace(total=2**26)  # what Docker gives a container
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: there)

    line = shared_memory_line(settings, 2, tmp_path)

    # Two processes of eight readers, two batches of five windows each, float32 and a label.
    needed = 2 * 8 * 2 * 5 * 40 * 384 * 384 * 5 / 2**30
    assert f"up to {needed:.1f} GiB in shared memory" in line
    assert "has 0.1: start the container with --shm-size 5g" in line
    assert "--shm-size" not in shared_memory_line(settings, 2, tmp_path / "none")


def test_every_style_of_every_scan_is_counted():
    styles = replace(load_all("paper").translate, styles="by_site")
    one, by_site = planned()["translate"], planned(translate=styles)["translate"]

    # Mirrored too: 11350 slices six times instead of twice; the steps are as many.
    assert by_site.disk_gib == pytest.approx(3 * one.disk_gib)
    assert by_site.hours - one.hours == pytest.approx(4 * 11350 * 0.01 / 3600)
    assert planned(translate=styles)["segment"].steps == 3 * planned()["segment"].steps


def test_windows_of_the_whole_field_cost_what_they_hold():
    # A fifth of the windows are four times as large as the others: 1 + 0.2 * 3.
    hours = planned(preset="meatus")["segment"].hours

    assert hours == pytest.approx(planned()["segment"].hours * 1.6)


def test_readers_that_deliver_more_than_is_trained_on_keep_nobody_waiting():
    # A window takes a reader 0.5 s and the device 0.1 s.
    assert waiting_share(0.5, 0.1, 0) == pytest.approx(0.5 / 0.6)
    assert waiting_share(0.5, 0.1, 2) == pytest.approx(1 - 2 * 0.1 / 0.5)
    assert waiting_share(0.5, 0.1, 8) == 0


def test_the_loaders_lines_tell_both_rates(monkeypatch):
    monkeypatch.setattr("meatus_training.reproduce.plan.usable_threads", lambda: 4)

    pairs, windows = loading_lines(load_all("paper"), COSTS, 2)

    # Ten pairs a step of 0.2 s, half of them on each of two processes.
    assert "100.0 from one reader, 25.00 are trained on; with 4 readers a device waits 0%" in pairs
    assert "2.0 from one reader, 10.00 are trained on; with 4 readers a device waits 20%" in windows


def test_processes_share_the_steps():
    assert planned(2)["segment"].hours == pytest.approx(planned()["segment"].hours / 2)


def test_disk_is_that_of_the_arrays():
    # 30900 slices of 384 x 384 voxels and labels (3 bytes) and of 256 x 256 slices (2 bytes).
    slices = (522 + 96) * 50
    expected = slices * (384 * 384 * 3 + 256 * 256 * 2) / 2**30

    assert planned()["prepare"].disk_gib == pytest.approx(expected)


def test_the_plan_is_told_and_nothing_is_done(tmp_path):
    data = write_challenge(tmp_path / "data")

    result = CliRunner().invoke(
        reproduce,
        [str(data), str(tmp_path / "work"), "--preset", "smoke", "--plan", "--accelerator", "cpu"],
    )

    assert result.exit_code == 0, result.output
    for stage in ("prepare", "translate", "segment", "selftrain", "export", "together"):
        assert stage in result.stdout
    assert "2 ceT1, 2 hrT2" in result.stdout
    assert "Windows a second:" in result.stdout
    assert not (tmp_path / "work").exists()


def test_two_processes_get_one_plan_and_neither_waits_for_the_other(tmp_path):
    data = write_challenge(tmp_path / "data")
    options = ["--preset", "smoke", "--plan", "--accelerator", "cpu", "--devices", "2"]
    command = [sys.executable, "-m", "meatus", "train", "reproduce", data, tmp_path / "work"]

    ended = subprocess.run(
        [str(part) for part in (*command, *options)], capture_output=True, text=True, timeout=300
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("together") == 1
    assert "2 x processor" in ended.stdout


def test_without_scans_of_both_kinds_there_is_no_plan(tmp_path):
    data = write_challenge(tmp_path / "data")
    for file in data.rglob("*ceT1*"):
        file.unlink()
    for file in data.rglob("*Label*"):
        file.unlink()

    result = CliRunner().invoke(
        reproduce, [str(data), str(tmp_path / "work"), "--preset", "smoke", "--plan"]
    )

    assert result.exit_code == 2
    assert "0 source and 2 target scans" in result.stderr
