"""A measure is added by its entry alone: every table, file and report then has it."""

import csv
import io
import json

import numpy as np
import pytest

from meatus_evaluation.report.labels import definitions
from meatus_evaluation.scoring.measures import MEASURES, Measure
from meatus_evaluation.scoring.score_tables import Column, column_of, metrics
from tests.meatus_evaluation.label_maps import TRUTH, run, save

LARGER = {**TRUTH, 3: np.s_[1:3, 2:4, 2:5]}  # 12 voxels of cochlea where 8 are


@pytest.fixture
def toy(monkeypatch):
    """How many voxels the result has more."""
    measure = Measure(
        "toy_voxels", "surplus", "voxels", "lower",
        lambda pair: float(pair.voxels[0] - pair.voxels[1]), failed=99.0, digits=1,
        definition="the voxels that the result has more.", columns=("toy", "toy_voxels"),
    )  # fmt: skip
    monkeypatch.setitem(MEASURES, measure.name, measure)
    column_of.cache_clear()
    yield measure
    column_of.cache_clear()


@pytest.fixture
def scored(toy, tmp_path):
    """One case, scored with a file of every kind; what was printed, and the folder."""
    save(tmp_path / "truth" / "a_Label.nii.gz")
    save(tmp_path / "found" / "a.nii.gz", LARGER)
    files = [word for kind in ("csv", "json", "html") for word in (f"--{kind}", tmp_path / kind)]
    done = run("score", tmp_path / "found", tmp_path / "truth", "--verbose", *files)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout, tmp_path


def test_it_is_printed_on_the_terminal(scored):
    printed, _ = scored

    (line,) = [line for line in printed.splitlines() if "surplus" in line and "cochlea" in line]
    assert line.split("│")[2].strip() == "surplus, voxels"
    assert line.split("│")[4].strip() == "4.0"


def test_it_is_in_the_csv_and_the_json(scored):
    _, folder = scored

    rows = list(csv.DictReader(io.StringIO((folder / "csv").read_text())))
    told = json.loads((folder / "json").read_text())

    assert {row["structure"]: row["toy_voxels"] for row in rows}["cochlea"] == "4.0"
    assert told["cases"][0]["structures"]["cochlea"]["toy_voxels"] == 4.0
    assert told["summary"][0]["measures"]["cochlea"]["toy_voxels"]["mean"] == 4.0


def test_it_is_in_the_reports_tables_plots_and_definitions(scored, toy):
    html = (scored[1] / "html").read_text()

    summary, plots, cases = (
        html.split(f'id="{name}"')[1].split("</section>")[0]
        for name in ("glance", "plots", "cases")
    )
    assert ">surplus, voxels<" in summary
    assert "<h3>surplus, voxels</h3>" in plots
    assert 'data-value="4.0">4.0<' in cases
    assert "Surplus" in definitions()
    assert toy.definition in html


def test_score_tables_and_comparisons_know_it(toy):
    assert "toy" in metrics()
    assert column_of("cochlea_toy_voxels") == Column("cochlea", "toy")
    assert Column("cochlea", "toy").of_empty == 99.0
    assert not Column("cochlea", "toy").higher_is_better
