"""Which package may know which, that nothing goes in circles, how long a file may be."""

import ast
import json
from pathlib import Path

import pytest

from meatus.weights import find_members, read_spec

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "meatus": "inference",
    "meatus_evaluation": "evaluation",
    "meatus_phantom": "phantom",
    "meatus_training": "training",
}
KNOWN = {
    "meatus": set(),
    "meatus_evaluation": {"meatus"},
    "meatus_phantom": {"meatus"},
    "meatus_training": {"meatus", "meatus_evaluation", "meatus_phantom"},
}
FORBIDDEN = {
    "meatus": {"torch", "onnx", "matplotlib", "tests"},
    "meatus_evaluation": {"torch", "onnx", "tests"},
    "meatus_phantom": {"onnx", "lightning", "tests"},
    "meatus_training": {"tests"},
}


def modules_of(package, folder):
    """Every module by its dotted name: the package's own name for its ``__init__``."""
    names = {}
    for file in sorted((folder / package).rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


MODULES = {
    name: file
    for package, folder in FOLDERS.items()
    for name, file in modules_of(package, ROOT / folder).items()
}


def imported(file):
    """Dotted names, also of imports within functions: of a module, or of something in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needs(modules):
    """The modules that each module imports, of those given."""
    return {
        name: {found if found in modules else found.rpartition(".")[0] for found in imported(file)}
        & modules.keys()
        for name, file in modules.items()
    }


def circle_of(graph):
    """Modules that need one another in a circle, the first again at the end; empty: none."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        found = next(filter(None, map(visit, sorted(graph[name]))), [])
        path.pop()
        done.add(name)
        return found

    return next(filter(None, map(visit, sorted(graph))), [])


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    package = module.split(".")[0]
    found = {name.split(".")[0] for name in imported(MODULES[module])}
    allowed = {"matplotlib"} if module == "meatus.report.plotting" else set()

    assert found & FOLDERS.keys() <= KNOWN[package] | {package}
    assert not found & FORBIDDEN[package] - allowed


def test_no_modules_import_one_another_in_a_circle():
    assert circle_of(needs(MODULES)) == []


def test_a_circle_would_be_seen(tmp_path):
    (tmp_path / "ring" / "part").mkdir(parents=True)
    for name, text in {
        "__init__.py": "from ring.a import x",
        "a.py": "import ring.b",
        "b.py": "def late():\n    from ring.part import c",
        "part/__init__.py": "",
        "part/c.py": "from ring.a import x",
    }.items():
        (tmp_path / "ring" / name).write_text(text)

    found = circle_of(needs(modules_of("ring", tmp_path)))

    assert found == ["ring.a", "ring.b", "ring.part.c", "ring.a"]


@pytest.mark.parametrize("file", MODULES.values(), ids=MODULES)
def test_a_file_can_be_read_in_one_go(file):
    assert len(file.read_text().splitlines()) <= 350


def test_the_shipped_weights_are_whole_and_say_what_they_were_trained_on():
    members = find_members(ROOT / "weights")

    assert members
    for path, member in members:
        assert "phantoms" in read_spec(path).trained_on
        assert member.scores
    notice = json.loads((ROOT / "weights" / "manifest.json").read_text())["notice"]
    assert "Not for clinical use" in notice
    assert "not for clinical use" in (ROOT / "README.md").read_text().lower()
