"""The translate command: from prepared scans to a file for each scan and style."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from meatus.geometry import Geometry
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, write_prepared
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.settings_files import save_settings
from meatus_training.translation.settings import ApplySettings, TranslateSettings
from meatus_training.translation.stage import (
    apply_translator,
    run_translate,
    train_translator,
    translate,
)
from meatus_training.translation.state import load_generator
from tests.meatus_training.translation.runs import CPU, TINY, curve, silent

SHAPE = (3, 36, 40)
GRID = Geometry(SHAPE[::-1], (0.5, 0.5, 1.5), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SETTINGS = TranslateSettings("one", replace(TINY, fit="crop"), ApplySettings(slices=2))
SITES = ("ldn", "etz")


def work_folder(folder):
    """Two labelled ceT1 scans and two hrT2 scans of two sites, prepared."""
    rng = np.random.default_rng(0)
    cases = [
        prepared_case(folder / "prepared", split, site, rng)
        for split in ("source", "target")
        for site in SITES
    ]
    write_prepared(folder / "prepared", PrepareSettings(), cases)
    return folder


def prepared_case(folder, split, site, rng):
    (folder / split).mkdir(parents=True, exist_ok=True)
    name = f"{site}_1"
    voxels, labels = (folder / split / f"{name}.{kind}.npy" for kind in ("voxels", "labels"))
    np.save(voxels, rng.uniform(-1, 1, SHAPE).astype(np.float16))
    if split == "source":
        np.save(labels, rng.integers(0, 4, SHAPE).astype(np.uint8))
    return PreparedCase(
        name=name,
        split=split,
        site=site,
        modality="ceT1" if split == "source" else "hrT2",
        scan=folder / f"{name}.nii.gz",
        voxels=voxels,
        labels=labels if split == "source" else None,
        size=GRID.size,
        spacing_mm=GRID.spacing_mm,
        geometry=GRID,
        complete=True,
        digest=f"{split} {site}",
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    work = work_folder(tmp_path_factory.mktemp("work"))
    run_translate(work, SETTINGS, CPU, silent)
    return work


def translated(work):
    files = sorted((work / "translated").glob("*.voxels.npy"))
    return {file.name.removesuffix(".voxels.npy"): np.load(file) for file in files}


def test_every_source_scan_is_translated_and_shown(done):
    found = translated(done)

    assert list(found) == ["etz_1--hrT2", "ldn_1--hrT2"]
    assert all(voxels.shape == SHAPE and voxels.dtype == np.float16 for voxels in found.values())
    assert (done / "translated" / "pictures" / "etz_1--hrT2.png").exists()
    assert list((done / "translate" / "tensorboard").iterdir())


def test_what_is_done_and_unchanged_is_not_done_again(done):
    before = {file: file.stat().st_mtime_ns for file in done.rglob("*.*")}
    said = []

    run_translate(done, SETTINGS, CPU, said.append)

    assert {file: file.stat().st_mtime_ns for file in done.rglob("*.*")} == before
    assert said == [f"{done / 'translated'}: 0 translations made, hrT2"]


def test_scans_are_translated_again_if_lost_or_made_otherwise_and_strangers_go(done):
    lost, stranger = (
        done / "translated" / f"{name}.voxels.npy" for name in ("ldn_1--hrT2", "ldn_1--old")
    )
    lost.rename(stranger)
    said = []

    run_translate(done, SETTINGS, CPU, said.append)
    assert said[0] == "[1/1] ldn_1--hrT2"
    assert lost.exists()
    assert not stranger.exists()

    run_translate(done, replace(SETTINGS, apply=ApplySettings(mirrored=False)), CPU, said.append)
    assert said[2:4] == ["[1/2] etz_1--hrT2", "[2/2] ldn_1--hrT2"]


def test_with_a_style_for_each_site_one_scan_gives_several_translations(tmp_path):
    work = work_folder(tmp_path)
    training = replace(SETTINGS.training, blocks=9, learning_rate=0.02)

    run_translate(work, replace(SETTINGS, styles="by_site", training=training), CPU, silent)

    found = translated(work)
    assert list(found) == ["etz_1--etz", "etz_1--ldn", "ldn_1--etz", "ldn_1--ldn"]
    assert not np.allclose(found["etz_1--etz"], found["etz_1--ldn"], atol=1e-3)


def test_the_translation_of_a_part_of_a_head_is_as_black_beside_it_as_a_real_scan(tmp_path):
    # The generator makes some grey of the padding, and a part that is bordered by grey is never
    # enlarged in training (``expand_incomplete``).
    work = work_folder(tmp_path)
    for name in SITES:
        file = work / "prepared" / "source" / f"{name}_1.voxels.npy"
        voxels = np.load(file)
        voxels[:, :, :8] = voxels[:, :, 32:] = -1
        np.save(file, voxels)

    run_translate(work, SETTINGS, CPU, silent)

    for voxels in translated(work).values():
        assert (voxels[:, :, :8] == -1).all()
        assert (voxels[:, :, 32:] == -1).all()
        assert (voxels[:, :, 8:32] > -1).any()


def test_another_way_to_apply_a_translator_does_not_train_it_again(tmp_path):
    work, said = work_folder(tmp_path), []
    train_translator(work, SETTINGS, CPU, silent)
    assert not (work / "translated").exists()

    apply_translator(work, replace(SETTINGS, apply=ApplySettings(z_sigma=0.0)), CPU, said.append)

    assert said[:2] == ["[1/2] etz_1--hrT2", "[2/2] ldn_1--hrT2"]


def test_a_stop_between_two_scans_is_told_and_the_next_run_goes_on(tmp_path):
    work = work_folder(tmp_path)
    with pytest.raises(TrainingError, match="told to stop after 1 of 2 translations"):
        run_translate(work, SETTINGS, CPU, silent, lambda: len(translated(work)) == 1)

    said = []
    run_translate(work, SETTINGS, CPU, said.append)
    assert said[0] == "[1/1] ldn_1--hrT2"


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "translate.yaml").write_text(save_settings(SETTINGS))

    found = CliRunner().invoke(translate, [str(tmp_path), "--preset", str(tmp_path)])

    assert found.exit_code == 2
    assert "run the prepare command first" in found.stderr


COMMAND = """
import sys, warnings
warnings.simplefilter("error")
from meatus_training.translation.stage import translate
translate()
"""


def started(work, settings):
    """The command as a user starts it."""
    file = work / "settings.yaml"
    file.write_text(save_settings(settings))
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(work), "--preset", str(file), "--accelerator", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_line(process, start):
    for line in process.stdout:
        if line.startswith(start):
            return
    pytest.fail(process.stderr.read())


def test_a_run_that_is_terminated_and_then_killed_ends_as_the_unbroken_one(tmp_path):
    settings = replace(SETTINGS, training=replace(SETTINGS.training, epochs=8, workers=1))
    broken, unbroken = (work_folder(tmp_path / name) for name in ("broken", "unbroken"))
    run_translate(unbroken, settings, CPU, silent)

    told = started(broken, settings)
    wait_for_line(told, "step 3:")
    os.killpg(told.pid, signal.SIGTERM)  # Slurm tells those too that read ahead
    _, said = told.communicate(timeout=120)
    assert told.returncode == 2
    assert "was told to stop and saved step" in said.splitlines()[-1]
    saved = torch.load(broken / "translate" / "state.pt", weights_only=True)["step"]
    assert 3 <= saved < 24

    killed = started(broken, settings)
    wait_for_line(killed, "step ")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    run_translate(broken, settings, CPU, silent)

    first, second = (load_generator(w / "translate" / "state.pt")[0] for w in (broken, unbroken))
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    assert [line["step"] for line in curve(broken / "translate")] == list(range(1, 25))
    for name, voxels in translated(unbroken).items():
        np.testing.assert_allclose(translated(broken)[name], voxels, atol=2e-3)
