"""The report in a browser that people use; skipped where none is installed."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from meatus_evaluation.report.html.page import write_report
from tests.meatus_evaluation.report.html.test_page import EVIL, case

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is here: apt-get install chromium"
)

CLICKS = """
<script>
const names = () => Array.from(document.querySelectorAll("#cases-cochlea tbody th"),
  (cell) => cell.textContent).join(" ");
const head = (n) => document.querySelectorAll("#cases-cochlea thead th")[n];
const click = (n) => { head(n).querySelector("button").click();
  seen.push(head(n).getAttribute("aria-sort") + ": " + names()); };
const seen = ["first: " + names()];
click(2); click(2); click(0); click(10);
seen.push("sorted heads: " + document.querySelectorAll("#cases-cochlea [aria-sort]").length);
const told = document.createElement("pre");
told.id = "seen";
told.textContent = seen.join("\\n");
document.body.append(told);
</script>
"""


def browse(file, home, *options):
    """What the browser prints; its window is at least 500 wide."""
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={home / 'browser'}", "--virtual-time-budget=2000", *options,
        file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture
def report(tmp_path):
    scores = [case("ten", "ldn", 0.75), case("two", "etz", 0.5, failure="<b>lost</b>")]
    scores += [case("nine", "ukm", 0.875), case(EVIL, "ldn", 1.0)]
    for number, entry in enumerate(scores):
        percent = {"volume_error_percent": None if number == 0 else -number}
        cochlea = entry.structures["cochlea"]
        entry.structures["cochlea"] = replace(cochlea, measures={**cochlea.measures, **percent})
    write_report(scores, [], tmp_path / "report.html", worst=0)
    return tmp_path / "report.html"


def test_a_click_on_a_head_sorts_and_a_second_one_turns_the_order(report, tmp_path):
    clicked = tmp_path / "clicked.html"
    free = re.sub(r"<meta http-equiv[^>]*>", "", report.read_text())  # lets the test's script run
    clicked.write_text(free.replace("</body>", CLICKS + "</body>"))

    seen = re.search(r'<pre id="seen">(.*?)</pre>', browse(clicked, tmp_path, "--dump-dom"), re.S)

    evil = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert seen[1].split("\n") == [
        f"first: two ten nine {evil}",
        f"ascending: two ten nine {evil}",
        f"descending: {evil} nine ten two",
        f"ascending: {evil} nine ten two",  # by name
        f"ascending: {evil} nine two ten",  # the undefined number last
        "sorted heads: 1",
    ]


def test_the_policy_lets_the_reports_own_script_run_and_no_other(report, tmp_path):
    attacked = tmp_path / "attacked.html"
    attack = "<script>document.title = 'stolen'</script><img src='http://localhost:9/x.png'>"
    attacked.write_text(report.read_text().replace("</body>", attack + "</body>"))

    dom = browse(attacked, tmp_path, "--dump-dom")

    assert "<title>Evaluation report: 4 cases</title>" in dom
    assert '<button type="button">Dice</button>' in dom


@pytest.mark.parametrize("width", [1280, 420])
def test_a_report_fills_the_window_and_is_no_wider(report, tmp_path, width):
    """In a frame, as the browser's own window is not made that narrow."""
    style = f"border:0;width:{width}px;height:900px"
    frame = f'<iframe src="report.html" style="{style}">'
    (tmp_path / "frame.html").write_text(f'<body style="margin:0;background:#f0f">{frame}')
    shot = tmp_path / f"shot-{width}.png"

    browse(tmp_path / "frame.html", tmp_path, f"--screenshot={shot}", "--window-size=1300,900")

    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert (pixels[:880, width:] == (255, 0, 255)).all()
    page = pixels[:880, :width]
    assert page.std() > 10  # something is drawn
    assert ((page.min(axis=2) > 240).mean()) > 0.5  # on white
    assert (page[:, -3:] == 255).all()  # text and tables end before the edge
