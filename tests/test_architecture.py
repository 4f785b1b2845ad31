"""Which part may know which, how long a file may be, and what is shipped."""

import ast
import json
from pathlib import Path

import pytest

from meatus.weights import find_members, read_spec

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    file for part in ("inference", "evaluation", "training") for file in (ROOT / part).rglob("*.py")
)
FORBIDDEN = {
    "inference": {"evaluation", "training", "torch", "onnx", "matplotlib", "tests"},
    "evaluation": {"training", "torch", "onnx", "tests"},
    "training": {"tests"},
}


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    name = str(file.relative_to(ROOT))
    allowed = {"matplotlib"} if name == "inference/pictures/plotting.py" else set()

    assert not set(imported(file)) & FORBIDDEN[name.split("/")[0]] - allowed


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_go(file):
    assert len(file.read_text().splitlines()) <= 250


def test_the_shipped_weights_are_whole_and_say_what_they_were_trained_on():
    members = find_members(ROOT / "weights")

    assert len(members) >= 2
    for path, member in members:
        assert "phantoms" in read_spec(path).trained_on
        assert member.scores
    notice = json.loads((ROOT / "weights" / "manifest.json").read_text())["notice"]
    assert "Not for clinical use" in notice
    assert "not for clinical use" in (ROOT / "README.md").read_text().lower()
