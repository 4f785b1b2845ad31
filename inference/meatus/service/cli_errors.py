"""What a command's user sees of an error: one line, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from meatus.errors import MeatusError


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
