"""What ``make weights`` calls goes through, shortened, and makes a set that labels a scan."""

import os
import shlex
import subprocess
from dataclasses import replace

import pytest
from click.testing import CliRunner

from meatus.cli import main
from meatus_phantom import tissue_maps as maps_module
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.settings_files import load_settings, save_settings
from tests.meatus.tiny_runs import save_scan
from tests.meatus_phantom.windows.maps import toy_map
from tests.test_architecture import ROOT


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(maps_module, "subject_map", lambda _s, _n, _p: toy_map())


def recipe(work):
    """The words of each command that ``make weights`` runs."""
    # As where no make runs around it, which would tell of the folder that it is in.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    asked = ["weights", f"WEIGHTS={work}", "STATES=1 2", "LATE_STATES=2", "LAST_STATES=1"]
    told = subprocess.run(
        ["make", "--dry-run", "--old-file", ".venv/ready", *asked],
        cwd=ROOT, env=outside, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = told.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def shortened(name, folder):
    """The preset ``name`` with few steps, few subjects and a narrow network."""
    preset = load_settings("segment", name, SegmentSettings)
    source = preset.phantoms
    size_x, size_y = source.prepare.crop.size
    field = replace(source.prepare.crop, size=(size_x // 3, size_y // 4))
    prepare = replace(source.prepare, crop=field)
    short = replace(
        source,
        subjects=replace(source.subjects, subjects=2),
        first_subjects=0,
        subject_every=0,
        prepare=prepare,
    )
    settings = replace(
        preset, steps=2, width=4, depth=4, patch=(4, 16, 32), full_field_depth=0,
        precision="fp32", workers=0, phantoms=short, keep_every=min(preset.keep_every, 1),
    )  # fmt: skip
    file = folder / f"{name}.yaml"
    file.write_text(save_settings(settings))
    return str(file)


def test_the_commands_go_through_and_their_set_labels_a_scan(tmp_path):
    commands = recipe(tmp_path / "work")
    names = ("first", "shipped", "thick", "steady", "whole", "scout")
    presets = {name: shortened(name, tmp_path) for name in names}

    for program, *words in commands:
        if program != ".venv/bin/meatus":
            subprocess.run([program, *words], check=True)
            continue
        if "segment" in words:  # else other processes draw whole heads
            words += ["--workers", "1"]
        done = CliRunner().invoke(main, [presets.get(word, word) for word in words])
        assert done.exit_code == 0, (words, done.output)

    for member in ("phantom-steady", "phantom-a"):
        kept = (tmp_path / "work/segment" / member).glob("network*.pt")
        assert {file.name for file in kept} == {"network-1.pt", "network-2.pt", "network.pt"}
    made = tmp_path / "work/set"
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    labelled = CliRunner().invoke(
        main, ["predict", str(scan), str(tmp_path / "out"), "--weights", str(made), "--quiet"]
    )
    assert sorted(file.name for file in made.iterdir()) == [
        "manifest.json", "phantom-a.onnx", "phantom-scout.onnx",
    ]  # fmt: skip
    assert labelled.exit_code == 0, labelled.output
    assert (tmp_path / "out/a.nii.gz").is_file()
