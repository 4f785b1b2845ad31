"""The report on paper: a list of the cases, those to look at twice first, then a page a case.

It is made of the table and the pictures, so that it has the cases of earlier runs too. Loads
matplotlib, so import it only where it is wanted.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from meatus.atomic import written_whole
from meatus.report.case_table import CaseReport
from meatus.report.figures import clipped
from meatus.report.pages import picture_of, told_measures
from meatus.report.phrases import short_flag, tumour_words
from meatus.report.plotting import Figure, Image, pdf_pages
from meatus.report.summary import summarise, urgent_first

WIDTH, HEIGHT = 11.69, 8.27  # inches, A4
MARGIN, LINE = 0.5, 0.235
ROWS = 28  # cases on a page of the list
INK, FAINT, BAD = "#1a1d21", "#59626c", "#a31621"
COLUMNS = {"case": (0.5, 34), "VS, extra- + intra-meatal": (3.6, 40), "cochleae": (6.9, 3)}
CHECK = (7.7, 56)  # where the last column begins, and the letters that fit
LETTERS = 150  # that fit between the margins


def write_pdf(folder: Path, reports: Sequence[CaseReport], out: Path) -> None:
    """Write the PDF of the report in ``folder``, one of ``reports`` a case; whole or not at all.

    Raises ``OutputError`` where it cannot be written.
    """
    ordered = urgent_first(reports)
    with written_whole(out) as unfinished, pdf_pages(unfinished, "Meatus report") as pages:
        for figure in _figures(folder, ordered):
            pages.savefig(figure)


def _figures(folder: Path, ordered: Sequence[CaseReport]) -> Iterator[Figure]:
    """One at a time: of many cases no more than one picture is in memory."""
    starts = range(0, max(len(ordered), 1), ROWS)
    for page, start in enumerate(starts, 1):
        yield _list_page(ordered, start, f"page {page} of {len(starts)} of the list")
    for report in ordered:
        yield _case_page(folder, report)


def _page() -> Figure:
    return Figure(figsize=(WIDTH, HEIGHT), facecolor="white")


def _list_page(ordered: Sequence[CaseReport], start: int, page: str) -> Figure:
    figure = _page()
    _write(
        figure, MARGIN, 0.65, f"Report: {len(ordered)} cases, {summarise(ordered).words}", size=14
    )
    for head, (x, _) in {**COLUMNS, "check": CHECK}.items():
        _write(figure, x, 1.0, head, colour=FAINT)
    for number, report in enumerate(ordered[start : start + ROWS]):
        y, found = 1.25 + number * LINE, report.measures
        tumour = tumour_words(found) if found else "-"
        cells = (report.case, tumour, str(found.cochleas) if found else "-")
        for text, (x, letters) in zip(cells, COLUMNS.values(), strict=True):
            _write(figure, x, y, clipped(text, letters))
        flags = ", ".join(map(short_flag, found.flags)) if found else f"failed: {report.error}"
        _write(figure, CHECK[0], y, clipped(flags, CHECK[1]), colour=BAD)
    notice = next((report.notice for report in ordered if report.notice), "")
    _write(figure, MARGIN, HEIGHT - 0.35, clipped(f"{notice}; {page}", LETTERS), colour=FAINT)
    return figure


def _case_page(folder: Path, report: CaseReport) -> Figure:
    figure, found = _page(), report.measures
    _write(figure, MARGIN, 0.65, clipped(report.case, 80), size=14)
    picture = picture_of(folder, report)
    if picture is not None:
        _show(figure, picture)
    flags = list(found.flags) if found else [f"failed: {report.error}"]
    told = [f"{name}: {text}" for name, text in told_measures(report).items()]
    y = 6.05 if picture is not None else 1.1
    for column, (lines, colour) in enumerate(((told, INK), (flags or ["no flags"], BAD))):
        wrapped = [part for line in lines for part in textwrap.wrap(clipped(line, 400), 70)]
        shown = wrapped[: int((HEIGHT - 0.6 - y) / 0.2)]
        for number, line in enumerate(shown):
            x = MARGIN + column * (WIDTH / 2 - MARGIN)
            _write(figure, x, y + number * 0.2, line, colour=colour if flags or not column else INK)
    footer = f"{report.notice}; weights {report.weights}; meatus {report.version}"
    _write(figure, MARGIN, HEIGHT - 0.35, clipped(footer, LETTERS), colour=FAINT)
    return figure


def _show(figure: Figure, picture: Path) -> None:
    """The picture below the title, every pixel as it is."""
    with Image.open(picture) as image:
        pixels = image.convert("RGB")
    width = WIDTH - 2 * MARGIN
    height = width * pixels.height / pixels.width
    box = (MARGIN / WIDTH, 1 - (0.85 + height) / HEIGHT, width / WIDTH, height / HEIGHT)
    axes = figure.add_axes(box)
    axes.imshow(pixels, interpolation="none", aspect="auto")
    axes.set_axis_off()


def _write(
    figure: Figure, x: float, y: float, text: str, *, size: float = 9, colour: str = INK
) -> None:
    """A line of text; ``x`` and its base line ``y`` are in inches from the upper left corner."""
    figure.text(x / WIDTH, 1 - y / HEIGHT, text, size=size, color=colour, parse_math=False)
