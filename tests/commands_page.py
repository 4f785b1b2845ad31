"""Writes docs/commands.md, the help of every command: ``python -m tests.commands_page``."""

from pathlib import Path

import click

from meatus.cli import main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
WIDTH = 96  # of the help's lines, whatever the terminal has
HEAD = """\
# Commands

What `--help` says of each command; `make docs` writes this page. `predict`, `info` and `version`
come with the package `meatus`; `meatus-evaluation`, `meatus-phantom` and `meatus-training` add the
others.
"""


def commands(command, name, parent=None):
    """Every command below ``command``, as its words and its context, in the order of the help."""
    if hasattr(command, "load"):  # stands for a command that is not imported until it is called
        command = command.load()
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield context.command_path, context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from commands(command.get_command(context, below), below, context)


def page():
    """The whole page; the same on every machine with the tested versions."""
    sections = [
        f"## {path}\n\n```\n{context.get_help().rstrip()}\n```\n"
        for path, context in commands(main, "meatus")
    ]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} is written")
