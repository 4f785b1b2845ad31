"""A cohort of balls and cylinders, and settings with which a whole reproduction takes seconds."""

import subprocess
import sys
from functools import partial

import yaml

from meatus_phantom.cohort.make import write_cohort
from meatus_phantom.cohort.plan import CohortSettings
from meatus_training.runs.stage_records import read_record
from meatus_training.settings_files import PRESETS
from tests.meatus_phantom.scenes import tiny_case

# Of the smoke preset; what is not named here stays as it is there.
SMALLER = {
    "translate": {"training": {"epochs": 1, "steps_per_epoch": 6, "save_every": 1, "log_every": 1}},
    "segment": {"steps": 8, "patch": [8, 48, 48], "save_every": 1, "log_every": 1},
    "selftrain": {},
    "prepare": {},
    "export": {},
}


def make_cohort(folder):
    """Three source scans, three target scans and one for validation, with their truth."""
    settings = CohortSettings(source=3, target=3, validation=1, sites=("ldn", "etz"), seed=4)
    partial(write_cohort, make=tiny_case)(folder, settings)
    return folder


def make_preset(folder, **changes):
    """The smoke preset with fewer steps, and with ``changes`` by stage."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage, smaller in SMALLER.items():
        content = yaml.safe_load((PRESETS / "smoke" / f"{stage}.yaml").read_text())
        for part in (smaller, changes.get(stage, {})):
            content = _merged(content, part)
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


def _merged(one, other):
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return one | {name: _merged(one.get(name), value) for name, value in other.items()}
