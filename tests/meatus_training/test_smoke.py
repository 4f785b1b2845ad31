"""From a cohort to weights that run, in one command: whole, repeated, changed and killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.weights import find_members, read_spec
from tests.meatus_training.reproduce.tiny import (
    command,
    done_stages,
    make_cohort,
    make_preset,
    run,
)

ALL_STAGES = {
    "prepared",
    "translate",
    "translated",
    "segment/member_1",
    "segment/member_2",
    "selftrain/round_0/weights",
    "selftrain/round_0/validation",
    "selftrain/round_0/scores",
    "selftrain/round_1/pseudo",
    "selftrain/round_1/member_1",
    "selftrain/round_1/member_2",
    "selftrain/round_1/weights",
    "selftrain/round_1/validation",
    "selftrain/round_1/scores",
    "weights",
}
PATIENCE_S = 400  # of a machine that has other things to do


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("smoke") / "cohort")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return make_preset(tmp_path_factory.mktemp("smoke") / "preset")


@pytest.fixture(scope="module")
def reproduced(cohort, preset, tmp_path_factory):
    """The working folder of a run that nobody disturbed, and what it said."""
    work = tmp_path_factory.mktemp("smoke") / "work"
    ended = run(cohort, work, preset)
    assert ended.returncode == 0, ended.stderr
    return work, ended.stdout


def probabilities(work):
    """What each shipped member says of one window (8, 96, 96) of noise."""
    window = np.random.default_rng(0).uniform(-1, 1, (8, 96, 96)).astype(np.float32)
    engines = [
        OpenVinoEngine(file, read_spec(file), threads=1, precision="f32")
        for file, _ in find_members(work / "weights")
    ]
    return np.stack([engine(window) for engine in engines])


def test_every_stage_is_done_and_told(reproduced):
    work, said = reproduced

    assert done_stages(work) == ALL_STAGES
    for number, name in enumerate(("prepare", "translate", "segment", "selftrain", "export")):
        assert f"[{number + 1}/5] {name}: done after" in said


def test_the_weights_label_scans_and_say_what_they_were_trained_on(reproduced, cohort, tmp_path):
    work, _ = reproduced
    scans = cohort / "crossmoda23_validation"
    predict = [sys.executable, "-m", "meatus", "predict", scans, tmp_path / "out", "--weights"]

    ended = subprocess.run(
        [str(part) for part in (*predict, work / "weights")], capture_output=True
    )

    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 1
    members = find_members(work / "weights")
    assert [file.name for file, _ in members] == ["meatus-smoke-1.onnx", "meatus-smoke-2.onnx"]
    for file, _ in members:
        told = read_spec(file).trained_on
        assert told.startswith("3 labelled ceT1 and 3 unlabelled hrT2 synthetic phantoms, no real")
    manifest = json.loads((work / "weights" / "manifest.json").read_text())
    assert "phantoms only, no real scan" in manifest["notice"]
    assert "cochlea" in manifest["scores"]


def test_members_differ_and_self_training_changed_them(reproduced):
    work, _ = reproduced
    first, second = probabilities(work)

    assert not np.allclose(first, second, atol=1e-3)
    kept = [
        (work / "selftrain" / f"round_{number}" / "weights" / "member_1.onnx").read_bytes()
        for number in (0, 1)
    ]
    assert kept[0] != kept[1]


def test_each_rounds_scores_on_the_truth_are_logged(reproduced):
    work, said = reproduced

    lines = (work / "selftrain" / "scores.jsonl").read_text().splitlines()

    first, second = (json.loads(line) for line in lines)
    assert (first["round"], second["round"]) == (0, 1)
    assert "dice" in first["validation"]["cochlea"]
    assert "pseudo-labels, repaired" in second
    assert "round 1, validation: Dice" in said


def test_a_second_run_finds_everything_done_and_touches_nothing(reproduced, cohort, preset):
    work, _ = reproduced
    before = {file: file.stat().st_mtime_ns for file in work.rglob("*.pt")}
    before |= {file: file.stat().st_mtime_ns for file in work.rglob("*.onnx")}

    ended = run(cohort, work, preset)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("done before, unchanged") == len(ALL_STAGES)
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_changed_stage_is_done_anew_with_those_behind_it(reproduced, cohort, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(reproduced[0], work)
    other = make_preset(tmp_path / "preset", selftrain={"sure_p": 0.5}, export={"name": "other"})

    ended = run(cohort, work, other)

    assert ended.returncode == 0, ended.stderr
    assert done_stages(work) >= ALL_STAGES
    assert "segment/member_2: done before, unchanged" in ended.stdout
    assert "selftrain/round_1/pseudo: settings or inputs changed" in ended.stdout
    assert (work / "weights" / "other-1.onnx").exists()
    assert not (work / "weights" / "meatus-smoke-1.onnx").exists()
    assert len(list((work / "aside" / "selftrain" / "round_1").glob("member_1-*/network.pt"))) == 1


def test_another_translator_in_its_place_makes_the_translations_anew(
    reproduced, cohort, preset, tmp_path
):
    work = tmp_path / "work"
    shutil.copytree(reproduced[0], work)
    state = torch.load(work / "translate" / "state.pt", weights_only=True)
    for weight in state["generator"].values():
        weight += 0.01
    torch.save(state, work / "translate" / "state.pt")

    ended = run(cohort, work, preset)

    assert ended.returncode == 0, ended.stderr
    assert "translate: done before, unchanged" in ended.stdout
    assert "3 translations made" in ended.stdout


def test_a_run_that_is_killed_in_every_stage_ends_with_the_same_weights(
    reproduced, cohort, preset, tmp_path
):
    work = tmp_path / "work"

    code, said = _killed_after(
        work / "translate" / "state.pt", signal.SIGTERM, cohort, work, preset
    )
    assert code == 2
    assert "told to stop" in said
    assert "translate" not in done_stages(work)

    for file in (
        "segment/member_2/state.pt",
        "selftrain/round_1/pseudo/crossmoda2023_etz_2.verdict.json",
        "selftrain/round_1/member_1/state.pt",
        "weights/meatus-smoke-1.onnx",
    ):
        code, _ = _killed_after(work / file, signal.SIGKILL, cohort, work, preset)
        assert code == -signal.SIGKILL
        assert "weights" not in done_stages(work)

    ended = run(cohort, work, preset)

    assert ended.returncode == 0, ended.stderr
    assert done_stages(work) == ALL_STAGES
    np.testing.assert_allclose(probabilities(work), probabilities(reproduced[0]), atol=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the second process in /proc")
def test_two_processes_end_when_one_dies_and_go_on_when_started_again(cohort, preset, tmp_path):
    work = tmp_path / "work"
    several = ("--accelerator", "cpu", "--devices", "2", "--strategy", "ddp")

    # Together in one training, then each in a member of its own.
    for file in ("translate/state.pt", "segment/member_2/state.pt"):
        code, _ = _killed_after(
            work / file, signal.SIGKILL, cohort, work, preset, *several, second=True
        )
        assert code != 0
        assert "segment/member_2" not in done_stages(work)
    ended = run(cohort, work, preset, *several)

    assert ended.returncode == 0, ended.stderr
    assert done_stages(work) == ALL_STAGES
    assert "translate: done before, unchanged" in ended.stdout


def test_the_preset_meatus_and_every_addition_go_the_whole_way_too(cohort, tmp_path):
    work, preset = tmp_path / "work", make_preset(tmp_path / "preset", "meatus")

    ended = run(cohort, work, preset)

    assert ended.returncode == 0, ended.stderr
    assert done_stages(work) == ALL_STAGES
    styles = {file.name.partition("--")[2] for file in (work / "translated").glob("*.voxels.npy")}
    assert styles == {"etz.voxels.npy", "ldn.voxels.npy"}
    assert len(list((work / "translated").glob("*.voxels.npy"))) == 3 * 2
    lines = (work / "translate" / "curve.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert all(last[name] > 0 for name in ("edge", "head", "segmenter"))
    assert len(find_members(work / "weights")) == 2


def test_mistakes_in_the_settings_end_in_one_line_each_before_anything_starts(cohort, tmp_path):
    wrong = make_preset(tmp_path / "preset", selftrain={"round": 3})

    ended = run(cohort, tmp_path / "work", wrong)

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"error: {wrong / 'selftrain.yaml'}: round: no such key, found 3"
    ]
    assert not (tmp_path / "work").exists()


def _killed_after(file, number, cohort, work, preset, *options, second=False):
    """Start a run and send it signal ``number`` as soon as ``file`` is there; code and stderr.

    With ``second`` it goes to the process that the run itself has started.
    """
    started = subprocess.Popen(
        command(cohort, work, preset, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + PATIENCE_S
    try:
        while not file.exists() and started.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert file.exists(), started.communicate()[1] if started.poll() is not None else "too slow"
        os.kill(_child_of(started.pid) if second else started.pid, number)
        _, said = started.communicate(timeout=PATIENCE_S)
    finally:
        if started.poll() is None:
            started.kill()
            started.communicate()
    return started.returncode, said


def _child_of(pid):
    """The process that runs the same command for the run ``pid``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return int(next(child for child, line in commands.items() if b"reproduce" in line))
