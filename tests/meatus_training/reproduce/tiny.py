"""A cohort of balls and cylinders, and settings with which a whole reproduction takes seconds."""

import subprocess
import sys
from functools import partial

import yaml

from meatus_phantom.cohort.make import write_cohort
from meatus_phantom.cohort.plan import CohortSettings
from meatus_training.runs.stage_records import read_record
from meatus_training.settings_files import PRESETS, merged
from tests.meatus_phantom.scenes import tiny_case

# What is not named here stays as it is in the preset.
SHORT = {"epochs": 1, "steps_per_epoch": 6, "save_every": 1, "log_every": 1}
SMALLER = {
    "smoke": {
        "translate": {"training": SHORT},
        "segment": {"steps": 8, "patch": [8, 48, 48], "save_every": 1, "log_every": 1},
        "selftrain": {},
        "prepare": {},
        "export": {},
    },
    # As the preset smoke makes the paper's small; nothing else of the preset is changed, but for
    # the additions that it leaves out: every one of them goes the whole way here.
    "meatus": {
        "translate": {
            "styles": "by_site",
            "training": SHORT
            | {
                "neighbours": 1,
                "edge": 1.0,
                "width": 4,
                "critic_width": 4,
                "sampler_width": 16,
                "patches": 32,
                "size": 64,
                "head": 1.0,
                "segmenter": 0.5,
                "segmenter_width": 2,
                "segmenter_from": 3,
                "keep_epochs": 1,
                "batch": 2,
                "precision": "fp32",
                "workers": 0,
            },
        },
        "segment": {
            "width": 4,
            "blocks": 1,
            "depth": 8,
            "patch": [8, 48, 48],
            "batch": 2,
            "epochs": 0,
            "steps": 8,
            "workers": 0,
            "save_every": 1,
            "log_every": 1,
        },
        "selftrain": yaml.safe_load((PRESETS / "smoke" / "selftrain.yaml").read_text()),
        "prepare": {"crop": {"size": [96, 96]}, "translation_size": 64},
        "export": {"members": 2, "fp16": False},
    },
}


def make_cohort(folder):
    """Three source scans, three target scans and one for validation, with their truth."""
    settings = CohortSettings(source=3, target=3, validation=1, sites=("ldn", "etz"), seed=4)
    partial(write_cohort, make=tiny_case)(folder, settings)
    return folder


def make_preset(folder, preset="smoke", **changes):
    """The preset with fewer steps, and with ``changes`` by stage."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage, smaller in SMALLER[preset].items():
        content = {"based_on": preset} | merged(smaller, changes.get(stage, {}))
        (folder / f"{stage}.yaml").write_text(yaml.safe_dump(content))
    return folder


def command(data, work, preset, *options):
    parts = [sys.executable, "-m", "meatus", "train", "reproduce", data, work]
    parts += ["--preset", preset, "--workers", "1"]
    return [str(part) for part in (*parts, *options)]


def run(data, work, preset, *options):
    """The finished process, its output as text."""
    return subprocess.run(
        command(data, work, preset, *options),
        capture_output=True,
        text=True,
        timeout=600,
    )


def done_stages(work):
    """Folders of finished stages, below ``work``."""
    notes = sorted(work.rglob("stage.json"))
    return {str(note.parent.relative_to(work)) for note in notes if read_record(note.parent).done}
