"""The one command and what other packages add to it, each loaded only when it is called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from meatus import __version__
from meatus.cli import main
from meatus.service.commands import GROUP, Later
from tests.meatus.tiny_runs import save_scan, write_weights
from tests.test_architecture import ROOT

OWN = {"predict", "bids", "info", "models", "version", "report", "view"}
SCORES = {"score", "rank", "compare", "growth", "reliability", "budget", "stages", "bench"}
STAGES = {"prepare", "translate", "segment", "selftrain", "reproduce"}
TOOLS = {
    *("epochs", "ladder", "export", "import-checkpoint", "quantise", "manifest", "engines"),
    *("bench", "bench-scaling", "bench-engines"),
}
# What `predict` loads only once it is needed, after the network's first call or not at all.
LATER = (
    "IPython", "highdicom", "jinja2", "matplotlib", "onnx", "onnxruntime", "pandas", "PIL",
    "pydicom", "scipy.linalg", "scipy.ndimage", "scipy.spatial", "SimpleITK", "torch",
)  # fmt: skip
FIRST_CALL = """
import json, sys
from meatus.cli import main
from meatus.engines import nvidia, openvino_cpu

def no_library(name):
    raise OSError(f"{name}: none on this machine")

def told(engine, window):
    print(json.dumps(sorted(sys.modules)))
    sys.exit(0)

nvidia.load_library = no_library
openvino_cpu.OpenVinoEngine.__call__ = told
main(sys.argv[1:])
"""
HEAVY = ("torch", "lightning", "matplotlib", "onnx", "meatus_training.cli", "meatus_phantom.cli")
LOADED = """
import json, sys
from meatus.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""


def listed(command):
    with click.Context(command) as context:
        return set(command.list_commands(context))


def leaves(command, path=()):
    """Every command that is no group, as it is typed, loaded as a call would."""
    with click.Context(command) as context:
        for name in command.list_commands(context):
            _, found, _ = command.resolve_command(context, [name])
            if isinstance(found, click.Group):
                yield from leaves(found, (*path, name))
            else:
                yield (*path, name), command.get_command(context, name), found


def test_every_package_adds_its_commands():
    commands = main.commands

    assert listed(main) == OWN | SCORES | {"phantom", "train"}
    assert listed(commands["phantom"]) == {"cohort", "contours", "check"}
    assert listed(commands["train"]) == STAGES | TOOLS


def test_every_command_is_where_its_listing_says_and_tells_its_use():
    # click keeps the help option of a command's first call, which in other tests is one by itself
    check = "from tests.meatus.test_commands import check_every_command; check_every_command()"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def check_every_command():
    for path, placeholder, command in leaves(main):
        assert command.name == path[-1]
        assert placeholder.get_short_help_str(200)
        assert not isinstance(command, Later)
        done = CliRunner().invoke(main, [*path, "-h"])
        assert done.exit_code == 0, (path, done.output)
        assert done.output.startswith(f"Usage: meatus {' '.join(path)} ")


@pytest.mark.parametrize(
    "words", ["--help", "predict --help", "score --help", "train --help", "phantom --help"]
)
def test_help_loads_nothing_heavy(words):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words.split()], capture_output=True, text=True, check=True
    )

    code, modules = json.loads(done.stderr)
    assert code == 0
    assert "Usage: " in done.stdout
    assert not [name for name in HEAVY if name in modules]
    if words.startswith("predict"):
        assert not [name for name in modules if name.startswith("meatus_")]


def test_predict_loads_nothing_for_later_before_the_networks_first_call(tmp_path):
    (tmp_path / "weights").mkdir()
    arguments = [
        *("predict", save_scan(tmp_path / "a_T2.nii.gz"), tmp_path / "out"),
        *("--weights", write_weights(tmp_path / "weights"), "--quiet"),
    ]

    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, *map(str, arguments)], capture_output=True, text=True
    )

    modules = json.loads(done.stdout)
    assert "openvino" in modules
    assert [name for name in LATER if name in modules] == []


def test_the_version_of_each_package_is_told():
    done = CliRunner().invoke(main, ["version"])

    packages = ("meatus", "meatus-evaluation", "meatus-phantom", "meatus-training")
    assert set(done.output.splitlines()) == {f"{name} {__version__}" for name in packages}
    assert done.output.startswith("meatus ")


def test_an_unknown_command_ends_with_2():
    done = CliRunner().invoke(main, ["segmentate"])

    assert done.exit_code == 2
    assert "No such command 'segmentate'" in done.stderr


def test_the_module_is_the_command():
    script = Path(sys.executable).with_name("meatus")

    told = [
        subprocess.run([*start, "info"], capture_output=True, text=True, check=True).stdout
        for start in ([script], [sys.executable, "-m", "meatus"])
    ]

    assert told[0] == told[1]
    assert told[0].startswith(f"meatus {__version__}: ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("tr", "train"), ("train pre", "prepare"), ("phantom check --conta", "--contact-sheet")],
)
def test_a_shell_completes_commands_and_options(words, expected):
    typed = ["meatus", *words.split()]
    asked = {
        "_MEATUS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }

    done = subprocess.run(
        [Path(sys.executable).with_name("meatus")],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == [f"plain,{expected}"]


def test_the_group_of_entry_points_is_the_one_that_packages_name():
    root = Path(__file__).resolve().parents[2]
    for folder in ("evaluation", "phantom", "training"):
        assert f'[project.entry-points."{GROUP}"]' in (root / folder / "pyproject.toml").read_text()
