"""Index, pages and PDF of a report: whole, offline, escaped, what is urgent first."""

import io
import re
import shutil
from html import unescape
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from meatus.geometry import Geometry
from meatus.report import pdf
from meatus.report.case_table import CaseReport, read_report
from meatus.report.figures import draw_case, thumbnail
from meatus.report.html.page import data_url
from meatus.report.measure import measure
from meatus.report.pages import write_case_page, write_index
from meatus.report.panels import show
from meatus.report.plotting import Figure
from meatus.report.summary import summarise, urgent_first
from meatus.report.views import View, as_slices
from meatus.volumes import Labels, Scan
from tests.meatus.test_report import case_of_two_ears, done
from tests.meatus.tiny_runs import run_here, save_scan, write_weights

EVIL = "<script>alert(1)<:script> & \"x\" 'größe'"


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("picture") / "a.png"
    draw_case(*case_of_two_ears(), EVIL, file)
    return file


@pytest.fixture
def folder(tmp_path, picture):
    """Where one case, whose name is evil, has its picture."""
    shutil.copy(picture, tmp_path / f"{EVIL}.png")
    return tmp_path


REPORTS = [done(EVIL), done("index"), CaseReport("cut\udcff", error="no <b>scan</b>")]


def write(folder):
    picture = data_url(thumbnail(folder / f"{EVIL}.png"), "jpeg")
    write_index(folder, urgent_first(REPORTS), {EVIL: picture}, summarise(REPORTS))
    for report in REPORTS:
        write_case_page(folder, report)


def pages(folder):
    return [folder / "index.html", *sorted((folder / "cases").glob("*.html"))]


def test_every_name_leads_to_its_page_and_none_is_run(folder):
    write(folder)

    index = (folder / "index.html").read_text()
    links = [unescape(link) for link in re.findall(r'href="([^"]+)"', index)]
    assert len(links) == 3
    for link in links:
        assert (folder / unquote(link, errors="surrogateescape")).is_file()
    for page in pages(folder):
        assert page.read_text().count("<script>") == 1  # the page's own
        assert "<b>" not in page.read_text()
    assert "alert(1)&lt;:script&gt;" in index


def test_pages_load_nothing_and_have_their_pictures_inside(folder):
    write(folder)

    for page in pages(folder):
        text = re.sub('base64,[^"]+', "", page.read_text())
        assert "default-src 'none'; img-src data:" in text
        assert not re.search(r"https?:|src=\"(?!data:)|@import|url\(|fetch\(", text)
        assert all('alt="' in tag for tag in re.findall("<img[^>]*>", text))
        assert "not for clinical use" in text or page.name.startswith("cut")
    assert "data:image/jpeg" in (folder / "index.html").read_text()
    assert "data:image/png" in (folder / "cases" / f"{EVIL}.html").read_text()


def test_what_is_urgent_comes_first():
    empty = np.zeros(case_of_two_ears()[1].voxels.shape, dtype=np.uint8)
    missed = CaseReport("z", measure(Labels(empty, case_of_two_ears()[1].geometry)))
    ordered = urgent_first([done("a"), missed, CaseReport("y", error="full disk")])

    assert [report.case for report in ordered] == ["y", "z", "a"]


def test_the_index_warns_above_the_table(folder):
    write(folder)

    assert '<strong class="bad">1 failed</strong>' in (folder / "index.html").read_text()


def test_a_pdf_has_the_list_and_a_page_a_case(folder, monkeypatch):
    monkeypatch.setattr(pdf, "ROWS", 2)

    pdf.write_pdf(folder, REPORTS, folder / "report.pdf")

    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 2 + len(REPORTS)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("inches", [2.0, 4.9])
def test_every_letter_lies_whole_in_its_panel(inches):
    grid = Geometry((40, 40, 2), (1.0, 1.0, 2.0), (0, 0, 0))
    bright = np.full(grid.shape, 9.0, np.float32)
    slices = as_slices(Scan(bright, grid), Labels(np.zeros(grid.shape, np.uint8), grid))
    figure = Figure(figsize=(inches, inches), dpi=80)
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))

    show(axes, slices, View("", 0, (20.0, 20.0), 60.0), (0.0, 10.0), contours=False)
    figure.canvas.draw()

    panel = axes.get_window_extent()
    letters = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert letters.keys() >= {"R", "L", "A", "P"}
    for name in "RLAP":
        box = letters[name]
        assert box.height >= 10  # pixels
        assert panel.x0 < box.x0 < box.x1 < panel.x1
        assert panel.y0 < box.y0 < box.y1 < panel.y1


def test_a_run_writes_the_whole_report_and_a_resumed_one_keeps_its_pages(tmp_path):
    weights = write_weights(tmp_path)
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "a_T2.nii.gz")
    report = tmp_path / "report"
    command = (
        "predict", tmp_path / "in", tmp_path / "out", "--weights", weights, "--device", "cpu",
        "--quality", "fast", "--report", report, "--pdf",
    )  # fmt: skip

    first = run_here(*command)
    save_scan(tmp_path / "in" / "b_T2.nii.gz")
    second = run_here(*command, "--resume")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert sorted(str(file.relative_to(report)) for file in report.rglob("*.*")) == [
        "a.png", "b.png", "cases/.lock", "cases/a.html", "cases/a.json", "cases/b.html",
        "cases/b.json", "index.html", "report.csv", "report.json", "report.pdf",
    ]  # fmt: skip
    assert [entry.case for entry in read_report(report)] == ["a", "b"]
    index = (report / "index.html").read_text()
    assert index.count("data:image/jpeg") == 2
    assert "2 to look at twice" in index


def test_a_report_that_cannot_be_finished_costs_no_label_map(tmp_path, monkeypatch):
    monkeypatch.setattr("meatus.report.tables.INDEX_EVERY_S", 3600.0)  # at the end alone
    weights = write_weights(tmp_path)
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    (tmp_path / "report" / "index.html").mkdir(parents=True)

    done = run_here(
        "predict", scan, tmp_path / "out", "--weights", weights, "--device", "cpu",
        "--quality", "fast", "--report", tmp_path / "report",
    )  # fmt: skip

    assert done.exit_code == 1
    assert done.stderr.startswith("error: the report is not whole: ")
    assert (tmp_path / "out" / "a.nii.gz").exists()


def test_a_thumbnail_is_small(folder):
    content = thumbnail(folder / f"{EVIL}.png")

    assert len(content) < 20_000
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.size, picture.format) == ((180, 180), "JPEG")
