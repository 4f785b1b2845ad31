"""Commands: imported when they are called, so that listing them costs nothing; one-line errors.

An installed distribution adds its own to ``meatus`` by an entry point of the group
``meatus.commands``, which names a sequence of click commands: ``Later`` ones, or a ``Group``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click

from meatus.errors import MeatusError
from meatus.service.steady_streams import steady_streams

GROUP = "meatus.commands"
SETTINGS = {"help_option_names": ["-h", "--help"]}


class Later(click.Command):
    """Stands for a command, with its one line of help, until it is called."""

    def __init__(self, name: str, target: str, short_help: str) -> None:
        """``target`` is where the command stands, as "package.module:name"."""
        super().__init__(name, short_help=short_help)
        self.target = target

    def load(self) -> click.Command:
        module, _, name = self.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


class Group(click.Group):
    """A group whose ``Later`` commands are loaded where one is called, never where all are told."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest


class OpenGroup(Group):
    """A group that other installed distributions add their commands to: the program itself."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        with steady_streams():
            return super().main(*arguments, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._join()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:  # its own are found without looking at all that is there
            self._join()
        return super().get_command(ctx, cmd_name)

    def _join(self) -> None:
        for entry in entry_points(group=GROUP):
            for command in entry.load():
                self.commands.setdefault(str(command.name), command)


def distributions() -> dict[str, str]:
    """Those that add commands, by name: their versions."""
    found = [entry.dist for entry in entry_points(group=GROUP)]
    return {dist.name: dist.version for dist in found if dist is not None}


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """End with one line on stderr and exit code 2 on what a user can put right."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except MeatusError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return guarded
