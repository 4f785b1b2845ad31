"""The picture of a case: an overview, four enlarged views, and a legend in words."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meatus.atomic import write_whole
from meatus.errors import printable
from meatus.geometry import Geometry
from meatus.report.measure import Measures, measure
from meatus.report.panels import COLOURS, WHITE, blank, show
from meatus.report.plotting import Axes, Figure, Image, Rectangle, to_rgb
from meatus.report.views import (
    Slices,
    View,
    as_slices,
    canal_view,
    ear_views,
    main_view,
    window,
)
from meatus.structures import Structure
from meatus.volumes import Labels, Scan

BACKGROUND, FAINT, AMBER = "#101214", "#a8b0b8", "#ffc040"
DPI = 100
POINTS_PER_PIXEL = 72 / DPI

# The file's 256 colours, which make it a third of its size: greys, and each colour at several
# strengths over darker and lighter tissue.
STRENGTHS, TISSUES = (0.25, 0.5, 0.75, 1.0), (0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)

# The layout, in pixels from the upper left corner.
WIDTH, HEIGHT = 1640, 736
MARGIN, GAP, BETWEEN = 16, 4, 16
HEADER, CAPTION = 40, 24
OVERVIEW, PANEL = 380, 296
LEGEND = HEADER + CAPTION + OVERVIEW + 24  # the base line of its first line
LINE = 18
NUMBERS = (220, 295, 380)  # where the legend's columns of numbers end
TITLE_LETTERS, NOTE_LETTERS, FOOTER_LETTERS = 110, 56, 220  # that fit
NOTE_LINES = 5
THUMBNAIL = 180  # pixels; shown smaller, so that it is sharp on dense screens


def draw_case(
    scan: Scan,
    labels: Labels,
    title: str,
    out: Path,
    *,
    weights: str = "not stated",
    measures: Measures | None = None,
) -> None:
    """Write the picture of a case as a PNG file, whole or not at all.

    ``labels`` lies on the scan's grid; its ``measures`` save measuring it again. Raises
    ``OutputError`` where ``out`` cannot be written.
    """
    slices, found = as_slices(scan, labels), measures or measure(labels)
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=BACKGROUND)
    limits = window(slices.voxels)
    main, canal = main_view(slices), canal_view(slices)
    right, left = ear_views(slices, found)
    _write(figure, MARGIN, 29, clipped(title, TITLE_LETTERS), size=19)
    _overview(figure, slices, main, limits)
    _legend(figure, found)
    _pair(figure, (0, 0), slices, main, limits, "")
    missing = "intra-meatal part" if found.total.whole_vs_mm3 else "tumour"
    _pair(figure, (0, 1), slices, canal, limits, f"no {missing} marked")
    _pair(figure, (1, 0), slices, right, limits, "no right cochlea marked")
    _pair(figure, (1, 1), slices, left, limits, "no left cochlea marked")
    footer = f"Research software, not for clinical use. Weights: {weights}"
    _write(figure, MARGIN, HEIGHT - 12, clipped(footer, FOOTER_LETTERS), colour=FAINT)
    write_whole(out, _png(figure))


def _overview(figure: Figure, slices: Slices, main: View, limits: tuple[float, float]) -> None:
    """The whole main slice, with a box about the part that the main view enlarges."""
    (dx, dy, _), (columns, rows, _) = slices.grid.spacing_mm, slices.grid.size
    centre_mm = ((columns - 1) / 2 * dx, (rows - 1) / 2 * dy)
    whole = View("Overview", main.index, centre_mm, max(columns * dx, rows * dy))
    axes = _axes(figure, MARGIN, HEADER + CAPTION, OVERVIEW, OVERVIEW)
    show(axes, slices, whole, limits, contours=False)
    (x, y), size = main.centre_mm, main.size_mm
    corner = (x - size / 2, y - size / 2)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=AMBER, linewidth=1))
    _caption(figure, MARGIN, HEADER + CAPTION, whole, slices.grid)


def _pair(
    figure: Figure,
    cell: tuple[int, int],
    slices: Slices,
    view: View | None,
    limits: tuple[float, float],
    missing: str,
) -> None:
    """A view twice, the tissue alone and with contours; ``cell`` is its row and column."""
    top = HEADER + CAPTION + cell[0] * (PANEL + CAPTION + 8)
    left = MARGIN + OVERVIEW + BETWEEN + cell[1] * (2 * PANEL + GAP + BETWEEN)
    if view is None:
        blank(_axes(figure, left, top, 2 * PANEL + GAP, PANEL))
        _write(figure, left + PANEL, top + PANEL / 2, missing, colour=FAINT, align="center")
        return
    plain, drawn = (_axes(figure, left + offset, top, PANEL, PANEL) for offset in (0, PANEL + GAP))
    show(plain, slices, view, limits, contours=False)
    show(drawn, slices, view, limits, contours=True)
    _caption(figure, left, top, view, slices.grid)


def _caption(figure: Figure, left: float, top: float, view: View, grid: Geometry) -> None:
    """What is seen, the number of its axial slice from below, and the height of its middle."""
    x, y, _ = ((count - 1) / 2 for count in grid.size)
    height_mm = grid.position_mm((x, y, view.index))[2]
    where = f"{'S' if height_mm >= 0 else 'I'} {abs(height_mm):.1f} mm"
    text = f"{view.title}: slice {view.index + 1} of {grid.size[2]}, {where}"
    _write(figure, left, top - 8, text)


def _legend(figure: Figure, found: Measures) -> None:
    """Volumes by structure and side, the diameter, the grid, and what to look at twice."""
    y = LEGEND
    sides = (found.right, found.left, found.total)
    for x, head in zip(NUMBERS, ("right", "left", "total"), strict=True):
        _write(figure, MARGIN + x, y, head, colour=FAINT, align="right")
    _write(figure, MARGIN, y, "Volumes in mm³", colour=FAINT)
    rows = (
        ("extra-meatal", COLOURS[Structure.EXTRA_MEATAL], [s.extra_meatal_mm3 for s in sides]),
        ("intra-meatal", COLOURS[Structure.INTRA_MEATAL], [s.intra_meatal_mm3 for s in sides]),
        ("whole tumour", WHITE, [s.whole_vs_mm3 for s in sides]),
        ("cochlea", COLOURS[Structure.COCHLEA], [s.cochlea_mm3 for s in sides]),
    )
    for number, (name, colour, volumes) in enumerate(rows, 1):
        _write(figure, MARGIN, y + number * LINE, f"■ {name}", colour=colour)
        for x, volume in zip(NUMBERS, volumes, strict=True):
            _write(figure, MARGIN + x, y + number * LINE, f"{volume:.0f}", align="right")
    for number, (line, colour) in enumerate(_notes(found), len(rows) + 1):
        _write(figure, MARGIN, y + number * LINE + 6, line, colour=colour)


def _notes(found: Measures) -> list[tuple[str, str]]:
    """Lines and their colours."""
    x, y, z = found.spacing_mm
    diameter_mm = found.extra_meatal_diameter_mm
    sure = []
    if found.certainty.confidence is not None:
        sure.append(f"Mean confidence {found.certainty.confidence:.2f}")
    if found.certainty.expected_dice is not None:
        sure.append(f"expected Dice {found.certainty.expected_dice:.2f}")
    lines = [
        f"Tumour side: {found.tumour_side}",
        *([", ".join(sure)] if sure else []),
        "Largest axial extra-meatal diameter: "
        + (f"{diameter_mm:.1f} mm" if diameter_mm else "none"),
        f"Voxels {x:.2f} x {y:.2f} mm, slices {z:.2f} mm apart",
    ]
    text = "Check: " + "; ".join(found.flags)
    checks = textwrap.wrap(text, NOTE_LETTERS, break_on_hyphens=False) if found.flags else []
    if len(checks) > NOTE_LINES:
        checks = [*checks[: NOTE_LINES - 1], "... and more, see the report"]
    return [(line, WHITE) for line in lines] + [(line, AMBER) for line in checks]


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Placed in pixels."""
    box = (left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT)
    return figure.add_axes(box)


def _write(
    figure: Figure,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 13,
    colour: str = WHITE,
    align: str = "left",
) -> None:
    """A line of text; ``x``, its base line ``y`` and ``size`` are in pixels."""
    figure.text(
        x / WIDTH, 1 - y / HEIGHT, text, size=size * POINTS_PER_PIXEL, color=colour, ha=align,
        va="baseline", parse_math=False,
    )  # fmt: skip


def clipped(text: str, letters: int) -> str:
    """Text from a user, as the font can show it, on one line."""
    known = text.encode("latin-1", errors="replace").decode("latin-1")
    shown = printable(known)
    return shown if len(shown) <= letters else f"{shown[: letters - 3]}..."


def thumbnail(picture: Path) -> bytes:
    """A small JPEG of the main view with its contours, cut out of a case's ``picture``."""
    left = MARGIN + OVERVIEW + BETWEEN + PANEL + GAP
    top = HEADER + CAPTION
    content = io.BytesIO()
    with Image.open(picture) as image:
        view = image.convert("RGB").crop((left, top, left + PANEL, top + PANEL))
    view.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS).save(content, "jpeg", quality=80)
    return content.getvalue()


def _png(figure: Figure) -> bytes:
    pixels, file = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, format="rgba")
    drawn = figure.canvas.get_width_height()  # before Matplotlib 3.11.2 one pixel may be missing
    image = Image.frombytes("RGBA", drawn, pixels.getvalue()).convert("RGB")
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette().tobytes())
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()


def _palette() -> NDArray[np.uint8]:
    """(256, 3): the file's colours."""
    greys = np.repeat(np.linspace(0, 1, 256 - 4 * len(STRENGTHS) * len(TISSUES)), 3).reshape(-1, 3)
    drawn = np.array([to_rgb(colour) for colour in (*COLOURS.values(), AMBER)])
    mixed = [
        strength * drawn + (1 - strength) * tissue for strength in STRENGTHS for tissue in TISSUES
    ]
    return np.asarray(np.rint(255 * np.concatenate([greys, *mixed])), dtype=np.uint8)
