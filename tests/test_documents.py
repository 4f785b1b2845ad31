"""Documents hold: links lead somewhere, commands exist with their options, the help is the help."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from itertools import pairwise

import click
import pytest

from tests.commands_page import PAGE, commands
from tests.test_architecture import ROOT

# Of the checkout, not of the project: results of runs, and other people's packages.
RESULTS = {"work", "demo", "demo-phantom", "dist", "logs", "node_modules", "shared"}

CODE_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
ABROAD = re.compile(r"[a-z]+:")  # a scheme


def documents():
    yield from sorted(ROOT.glob("*.md"))
    for folder in sorted(path for path in ROOT.iterdir() if path.is_dir()):
        if not folder.name.startswith(".") and folder.name not in RESULTS:
            yield from sorted(folder.rglob("*.md"))


DOCUMENTS = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in documents()}


def prose(text):
    """The text without code, in which brackets mean something else."""
    return re.sub(r"`[^`\n]*`", "", CODE_BLOCK.sub("", text))


def anchors(text):
    """What GitHub calls the headings of a page: lower case, hyphens for spaces, no punctuation."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", text), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        same = sum(
            re.fullmatch(rf"{re.escape(words)}(-\d+)?", other) is not None for other in found
        )
        found.add(f"{words}-{same}" if same else words)
    return found


def code(name, *languages):
    """The code blocks of a page that are in one of these languages; "" is none."""
    return [body for language, body in CODE_BLOCK.findall(DOCUMENTS[name]) if language in languages]


def shell_lines(name):
    """Commands as a shell sees them: lines that go on are one, comments are gone."""
    for block in code(name, "", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(("meatus ", "make ")):
                yield shlex.split(line, comments=True)


def links(name):
    return [link for link in LINK.findall(prose(DOCUMENTS[name])) if not ABROAD.match(link)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_exist(name):
    for link in links(name):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_a_heading_that_comes_twice_has_two_anchors():
    assert anchors("# A `b`, C!\n## Two\n## Two\n```\n# none\n```\n") == {"a-b-c", "two", "two-1"}


def test_the_index_names_every_page_once():
    listed = [link for link in links("docs/README.md") if link.endswith(".md")]
    pages = {file.name for file in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert sorted(link for link in listed if "/" not in link) == sorted(pages)


def test_the_page_of_commands_is_what_their_help_says():
    # In a process of its own: click keeps the help option by which a command was first called, and
    # other tests call commands without their group.
    told = subprocess.run(
        [sys.executable, "-c", "from tests.commands_page import page; print(page(), end='')"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )

    assert PAGE.read_text(encoding="utf-8") == told.stdout, "run make docs"


TREE = dict(commands(importlib.import_module("meatus.cli").main, "meatus"))


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "docs/commands.md"])
def test_commands_that_are_shown_exist_with_their_options(name):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in shell_lines(name):
        if words[0] == "make":
            assert words[1] in targets, words
            continue
        path = words[0]
        for word in words[1:]:
            if f"{path} {word}" not in TREE:
                break
            path += f" {word}"
        assert not isinstance(TREE[path].command, click.Group) or len(words) == 2, words
        check_options(TREE[path].command, words)


def check_options(command, words):
    """Each ``--option`` of a line exists, and a choice after it is one; after ``--``: another's."""
    known = {
        name: option
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    } | {"--help": None}
    words = words[: words.index("--")] if "--" in words else words
    for word, value in pairwise([*words, ""]):
        if not word.startswith("-"):
            continue
        assert word in known, (word, words)
        choices = getattr(getattr(known[word], "type", None), "choices", None)
        if choices is not None and value.islower():
            assert set(value.split("|")) <= {str(choice) for choice in choices}, (word, value)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if code(name, "python")])
def test_python_that_is_shown_imports_what_there_is(name):
    for block in code(name, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), block


SOURCES = [
    f"/{file.relative_to(ROOT)}"
    for folder in ("inference", "evaluation", "phantom", "training", "packaging", "tests")
    for file in (ROOT / folder).rglob("*.*")
]


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_source_files_that_are_named_exist(name):
    named = re.findall(r"`([\w./-]+\.(?:py|sh|yaml))`", CODE_BLOCK.sub("", DOCUMENTS[name]))

    assert [file for file in named if not any(one.endswith(f"/{file}") for one in SOURCES)] == []
