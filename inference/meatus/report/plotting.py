"""What is used of matplotlib and Pillow; the only module that imports them.

Figures only, no ``pyplot``: that keeps every figure in a global list and is bound to one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING


@contextmanager
def _silent() -> Iterator[None]:
    """Where the user has no writable home, matplotlib warns on stderr and helps itself."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


with _silent():
    from matplotlib.axes import Axes
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import AbstractPathEffect, withStroke
    from PIL import Image

if TYPE_CHECKING:
    from matplotlib.backends.backend_pdf import PdfPages

__all__ = [
    "AbstractPathEffect",
    "Axes",
    "Figure",
    "Image",
    "Line2D",
    "Rectangle",
    "pdf_pages",
    "to_rgb",
    "withStroke",
]


def pdf_pages(file: Path, title: str) -> PdfPages:
    """A PDF that figures are saved to as pages; the same bytes for the same figures."""
    from matplotlib.backends.backend_pdf import PdfPages  # what it needs takes a moment to load

    return PdfPages(file, metadata={"Title": title, "CreationDate": None})
