import re
from html.parser import HTMLParser

import numpy as np
import pytest

from meatus.errors import OutputError, UsageError
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_evaluation.report.html.page import worst_first, write_report
from meatus_evaluation.scoring.match import Pair, match_folders
from meatus_evaluation.scoring.score import CaseScore, score_pairs
from meatus_evaluation.scoring.structure_score import StructureScore
from tests.meatus_evaluation.label_maps import save as save_map

GRID = Geometry((40, 40, 6), (0.5, 0.5, 1.5), (0, 0, 0))
EVIL = "<script>document.title='stolen'</script>\"'&"


def structure(dice, assd_mm, outcome="found", **changes):
    measures = {
        "dice": dice, "assd_mm": assd_mm, "assd_means_mm": assd_mm, "hd95_mm": 2 * assd_mm,
        "surface_dice": dice, "volume_mm3": 90.0, "reference_mm3": 100.0,
        "volume_error_mm3": -10.0, "volume_error_percent": -10.0,
    }  # fmt: skip
    return StructureScore(measures | changes, outcome, 1, 0, 0, 0.0)


def case(name, site="ldn", dice=0.9, assd_mm=0.5, failure=None):
    names = ("extra_meatal", "intra_meatal", "whole_vs", "cochlea")
    return CaseScore(name, site, {s: structure(dice, assd_mm) for s in names}, 0.7, failure)


class Page(HTMLParser):
    """Elements with their attributes, and the text of each table's cells by row."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.tables, self.text = [], {}, []
        self.table = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "table":
            self.table = self.tables[dict(attributes)["id"]] = []
        elif tag == "tr":
            self.table.append([])
        elif tag in ("th", "td"):
            self.table[-1].append("")

    def handle_data(self, data):
        self.text.append(data)
        if self.table and self.table[-1] and self.get_starttag_text()[:3] in ("<th", "<td"):
            self.table[-1][-1] += data.strip()

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(scores, tmp_path, **options):
    options = {"pairs": [], "worst": 0} | options
    write_report(scores, html_file=tmp_path / "report.html", **options)
    return Page((tmp_path / "report.html").read_text("utf-8"))


def save(folder, name, boxes, grid=GRID):
    save_map(folder / name, boxes, grid)


TRUTH = {1: np.s_[1:4, 10:20, 10:18], 2: np.s_[1:4, 10:20, 18:24], 3: np.s_[1:4, 4:8, 4:8]}
FOUND = {1: np.s_[1:4, 10:20, 10:20], 2: np.s_[1:4, 10:20, 20:24], 3: np.s_[1:4, 4:8, 4:9]}


@pytest.fixture
def folders(tmp_path):
    save(tmp_path / "reference", "crossmoda2023_ldn_1_Label.nii.gz", TRUTH)
    save(tmp_path / "found", "crossmoda2023_ldn_1.nii.gz", FOUND)
    return tmp_path / "found", tmp_path / "reference"


def test_the_report_has_summary_plots_failures_and_every_case(tmp_path):
    scores = [case("a", "ldn", 0.9), case("b", "etz", 0.5), case("c", "etz", 0.7)]

    page = page_of(scores, tmp_path)

    assert page.tables["glance"][1][:4] == ["all sites", "extra-meatal VS", "3", "0.700 ± 0.200"]
    assert [row[0] for row in page.tables["cases-cochlea"][1:]] == ["b", "c", "a"]
    assert [row[0] for row in page.tables["cases-boundary"][1:]] == ["b", "c", "a"]
    assert "failures" not in page.tables
    assert len(page.all("svg")) == 4 * 5 + 1  # structures by measures, and the boundary's ASSD
    assert "not for clinical use" in " ".join(page.text)
    assert "docs/evaluation.md" in page.text


def test_failures_stand_on_top_without_the_folders_they_lie_in(tmp_path):
    lost = case("b", dice=0, assd_mm=350, failure="/data/patients/b.nii.gz: no gzip file")

    html = tmp_path / "report.html"
    page = page_of([case("a"), lost], tmp_path)

    assert page.tables["failures"] == [
        ["case", "site", "reason"],
        ["b", "ldn", "b.nii.gz: no gzip file"],
    ]
    assert next(iter(page.tables)) == "failures"
    assert "patients" not in html.read_text()
    assert page.tables["cases-cochlea"][1][11] == "found (failure)"


def test_names_and_messages_are_text_whatever_they_hold(tmp_path):
    scores = [case(EVIL, failure=EVIL), case("b", site="<b>x</b>"), case("cut\udcff")]

    page = page_of(scores, tmp_path)

    assert len(page.all("script")) == 1  # the report's own
    assert not page.all("b")
    assert page.tables["failures"][1] == [EVIL, "ldn", EVIL]
    assert any(row[0] == "cut\\udcff" for row in page.tables["cases-cochlea"])


def test_nothing_in_the_report_is_loaded_from_anywhere(folders, tmp_path):
    pairs = match_folders(*folders).pairs
    page = page_of(score_pairs(pairs, processes=1), tmp_path, pairs=pairs, worst=1)
    html = (tmp_path / "report.html").read_text()

    assert page.all("img")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base"}
    assert not [a for _, a in page.elements if {"srcset", "xlink:href", "style"} & a.keys()]
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not re.search(
        r"https?:|//\w|@import|url\(|fetch\(|import\(", re.sub('base64,[^"]+', "", html)
    )
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_tables_and_pictures_say_what_they_are_to_who_cannot_see_them(folders, tmp_path):
    pairs = match_folders(*folders).pairs
    page = page_of(score_pairs(pairs, processes=1), tmp_path, pairs=pairs, worst=1)

    tables = page.all("table")
    assert len(page.all("caption")) == len(tables)
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in page.all("svg"))
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]
    links = {link["href"].removeprefix("#") for link in page.all("a")}
    assert links <= {attributes.get("id") for _, attributes in page.elements}


def test_undefined_numbers_are_blank_to_the_sorter_and_a_dash_to_the_reader(tmp_path):
    one = case("a")
    one.structures["cochlea"] = structure(1, 0, volume_error_percent=None, outcome="absent")

    page_of([one], tmp_path)

    assert '<td class="number" data-value="">-</td>' in (tmp_path / "report.html").read_text()


def test_worst_come_first_and_the_whole_tumour_does_not_count_twice():
    mixed = case("mixed", dice=0.6)
    mixed.structures["whole_vs"] = structure(0.0, 9.0)
    same_dice = case("further", dice=0.6, assd_mm=3.0)

    ordered = worst_first([case("good"), mixed, same_dice, case("lost", failure="gone")])

    assert [entry.case for entry in ordered] == ["lost", "further", "mixed", "good"]


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written"):
        write_report(
            [case("a")], [Pair("a", tmp_path, None)], tmp_path / "file" / "r.html", worst=0
        )

    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_scans_are_drawn_under_the_outlines_where_there_are_any(folders, tmp_path):
    pairs = match_folders(*folders).pairs
    scores = score_pairs(pairs, processes=1)
    (tmp_path / "scans").mkdir()

    without = page_of(scores, tmp_path, pairs=pairs, worst=1, scans=tmp_path / "scans")
    bright = np.random.default_rng(0).integers(100, 200, GRID.shape).astype(np.uint8)
    write_labels(Labels(bright, GRID), tmp_path / "scans" / f"{pairs[0].case}_T2.nii.gz")
    over = page_of(scores, tmp_path, pairs=pairs, worst=1, scans=tmp_path / "scans")

    assert "No scan of this case was found." in " ".join(without.text)
    assert "No scan" not in " ".join(over.text)
    assert len(over.all("img")[0]["src"]) > 2 * len(without.all("img")[0]["src"])
    with pytest.raises(UsageError, match="scans"):
        page_of(scores, tmp_path, pairs=pairs, worst=1, scans=tmp_path / "no" / "scans")


def test_a_missed_tumour_never_stands_under_good_news(tmp_path):
    missed = case("a")
    missed.structures["whole_vs"] = structure(0, 350, outcome="missed")

    bad = page_of([missed, case("b")], tmp_path)
    good = page_of([case("a"), case("b")], tmp_path)

    assert bad.tables["missed"][1] == ["a", "ldn", "whole VS", "100"]
    assert next(iter(bad.tables)) == "missed"
    words = " ".join(bad.text)
    assert "1 tumour missed" in words
    assert "no failures" not in words
    assert "no tumour or cochlea is missed" not in words
    assert bad.all("strong") == [{"class": "bad"}]
    assert good.all("strong") == []
    assert "no tumour or cochlea is missed" in " ".join(good.text)
