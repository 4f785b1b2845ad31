"""Pages that need no network and nothing beside them: style, script and pictures are inside.

Names of cases and messages come from files that may be called anything: the templates escape
every value. Should one slip through, the page's content security policy runs no script and takes
no style but its own two, known by their SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from meatus import __version__

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    """``value`` is what a number sorts by, None where it is undefined."""

    text: str
    value: float | None = None
    is_number: bool = False
    link: str = ""  # a relative address
    picture: str = ""  # a data URL; ``text`` tells what it shows
    is_bad: bool = False  # to look at twice


@dataclass(frozen=True)
class Table:
    """``name`` is an identifier of the page; the first cell of a row is its head."""

    name: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def number(value: float | None, digits: int = 0) -> Cell:
    """A number's cell; a dash where it is undefined."""
    return Cell("-" if value is None else f"{value:.{digits}f}", value, is_number=True)


def render(template: str, values: Mapping[str, object], folder: Path = FOLDER) -> bytes:
    """The page, UTF-8; ``values`` are what the ``template`` of ``folder`` names.

    Templates extend ``base.html.jinja`` and take macros from ``table.html.jinja``, which lie here.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    own = {
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "version": __version__,
    }
    page = environment.get_template(template).render({**own, **values})
    # A file name that is no text becomes a lone surrogate, which UTF-8 cannot hold.
    return page.encode(errors="backslashreplace")


def data_url(content: bytes, kind: str) -> str:
    """A picture's address that holds the picture; ``kind`` is ``png`` or ``jpeg``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
