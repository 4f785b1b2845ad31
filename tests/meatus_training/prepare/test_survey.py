import csv
import json
from pathlib import Path

from meatus.geometry import Geometry
from meatus_training.prepare.cases import PreparedCase
from meatus_training.prepare.survey import Spread, survey, write_survey


def case(site, spacing_mm, size, split="source", complete=True):
    grid = Geometry((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    here = Path("x")
    return PreparedCase(
        "c", split, site, "ceT1" if split == "source" else "hrT2", here, here, None,
        size, spacing_mm, grid, complete, "",
    )  # fmt: skip


CASES = [
    case("ldn", (0.4, 0.4, 1.0), (512, 512, 120)),
    case("ldn", (0.5, 0.4, 3.0), (512, 400, 40)),
    case("ldn", (0.6, 0.8, 1.5), (384, 448, 80), complete=False),
    case("etz", (0.8, 0.8, 1.5), (256, 256, 160)),
    case("ukm", (0.5, 0.5, 1.5), (384, 384, 50), split="target"),
]


def test_each_axis_has_its_own_least_median_and_most():
    ldn = survey(CASES)[1]

    assert (ldn.site, ldn.scans, ldn.incomplete) == ("ldn", 3, 1)
    assert ldn.spacing_mm == Spread((0.4, 0.4, 1.0), (0.5, 0.4, 1.5), (0.6, 0.8, 3.0))
    assert ldn.size == Spread((384, 400, 40), (512, 448, 80), (512, 512, 120))


def test_a_row_for_all_sites_follows_where_there_are_several():
    rows = [(row.split, row.site, row.scans) for row in survey(CASES)]

    assert rows == [("source", "etz", 1), ("source", "ldn", 3), ("source", "all", 4),
                    ("target", "ukm", 1)]  # fmt: skip


def test_the_files_hold_the_numbers(tmp_path):
    write_survey(tmp_path, survey(CASES))

    with (tmp_path / "survey.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["spacing_mm_z_most"] == "3.0"
    assert rows[1]["size_y_median"] == "448.0"
    told = json.loads((tmp_path / "survey.json").read_text())
    assert told[1]["spacing_mm"]["median"] == [0.5, 0.4, 1.5]
