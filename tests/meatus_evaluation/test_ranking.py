import csv
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from meatus.cli import main
from meatus.errors import UsageError
from meatus_evaluation.ranking import (
    Bootstrap,
    case_ranks,
    places,
    rank_stability,
    resampled_means,
    score_cube,
    standings,
)
from meatus_evaluation.scoring.score_tables import read_scores
from tests.shared_files import shared

HEADER = "Case,Team,VS_Dice,VS_ASSD,Cochlea_Dice,Cochlea_ASSD"
# Cumulative ranks by hand. Case 1: A 1 1 1 1 = 1, B 2 2 1 3 = 2, C 3 3 3 2 = 2.75.
# Case 2: A 3 3 1 2 = 2.25, B 1 1 2 1 = 1.25, C 1 2 3 3 = 2.25. Means: 1.625, 1.625, 2.5.
TOY = [
    "crossmoda2023_ldn_1,A,0.9,0.2,0.8,0.1",
    "crossmoda2023_ldn_1,B,0.8,0.3,0.8,0.4",
    "crossmoda2023_ldn_1,C,0.7,0.4,0.5,0.2",
    "crossmoda2023_etz_2,A,0.5,0.9,0.8,0.3",
    "crossmoda2023_etz_2,B,0.6,0.5,0.7,0.1",
    "crossmoda2023_etz_2,C,0.6,0.6,0.6,0.4",
]


def table(folder, name="scores.csv", rows=TOY, header=HEADER):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def rank(*arguments):
    return CliRunner().invoke(main, ["rank", *map(str, arguments)])


def parts_of(path):
    return {part.part: part for part in standings(score_cube(read_scores(path)))}


def test_the_published_ranking_of_2022_comes_out():
    scores = read_scores(shared("data/ranking-2022/scores.csv"))
    with shared("data/ranking-2022/expected_ranking.csv").open() as file:
        expected = {row["Team"]: float(row["MeanCumulativeRank"]) for row in csv.DictReader(file)}

    cube = score_cube(scores)
    overall = standings(cube)[0]

    assert len(cube.cases) == 271
    assert not cube.failures
    found = dict(zip(cube.teams, overall.cumulative, strict=True))
    assert found == pytest.approx(expected, abs=1e-9)
    assert sorted(found, key=found.get) == list(expected)


def test_ranks_and_means_are_as_computed_on_paper(tmp_path):
    cube = score_cube(read_scores(table(tmp_path)))

    assert cube.teams == ("A", "B", "C")
    assert case_ranks(cube)[:, 0].tolist() == [[1, 1, 1, 1], [2, 2, 1, 3], [3, 3, 3, 2]]
    assert case_ranks(cube)[:, 1].tolist() == [[3, 3, 1, 2], [1, 1, 2, 1], [1, 2, 3, 3]]
    overall = standings(cube)[0]
    assert overall.cumulative == (1.625, 1.625, 2.5)
    assert overall.places == (1, 1, 3)


def test_structures_metrics_and_sites_have_rankings_of_their_own(tmp_path):
    parts = parts_of(table(tmp_path))

    assert parts["whole_vs"].cumulative == (2, 1.5, 2.25)
    assert parts["assd"].cumulative == (1.75, 1.75, 2.5)
    assert parts["cochlea assd"].cumulative == (1.5, 2, 2.5)
    assert parts["etz"].cumulative == (2.25, 1.25, 2.25)
    assert parts["etz"].places == (2, 1, 2)
    assert parts["etz"].cases == 1
    assert parts["ldn"].places == (1, 2, 3)


def test_kendalls_tau_compares_a_part_with_the_overall_order(tmp_path):
    """Overall 1 1 3, ldn 1 2 3: two of three pairs agree, one is tied overall only."""
    parts = parts_of(table(tmp_path))

    assert parts["overall"].tau == 1
    assert parts["ldn"].tau == pytest.approx(2 / math.sqrt(2 * 3))
    assert parts["etz"].tau == pytest.approx(stats.kendalltau([2, 1, 2], [1, 1, 3]).statistic)


def test_a_file_for_each_team_gives_what_one_file_gives(tmp_path):
    together = score_cube(read_scores(table(tmp_path)))
    for team in "ABC":
        rows = [row.replace(f",{team},", ",") for row in TOY if f",{team}," in row]
        table(tmp_path, f"{team}.csv", rows, HEADER.replace("Team,", ""))

    apart = score_cube([s for team in "ABC" for s in read_scores(tmp_path / f"{team}.csv")])

    assert apart.teams == together.teams
    np.testing.assert_array_equal(apart.values, together.values)


def test_a_missing_score_ranks_as_an_empty_prediction_and_is_told(tmp_path):
    rows = [*TOY[:4], TOY[4].replace("0.7,0.1", ",nan")]  # B lacks its cochlea, C case 2
    cube = score_cube(read_scores(table(tmp_path, rows=rows)))

    assert cube.failures == (
        ("B", "crossmoda2023_etz_2"),
        ("C", "crossmoda2023_etz_2"),
    )
    assert cube.values[1, 1].tolist() == [0.6, 0.5, 0, 350]
    assert cube.values[2, 1].tolist() == [0, 350, 0, 350]
    assert "scored as empty" in rank(tmp_path / "scores.csv").output


def test_means_that_differ_by_rounding_share_a_place():
    assert places(np.array([0.1 + 0.2, 0.3, 0.5])).tolist() == [1, 1, 3]


def test_the_command_prints_the_order_and_writes_it(tmp_path):
    out, numbers = tmp_path / "ranking.csv", tmp_path / "ranking.json"

    done = rank(table(tmp_path), "--csv", out, "--json", numbers, "--bootstrap", 20)

    assert done.exit_code == 0, done.output
    assert "1.6250" in done.output
    assert out.read_text().splitlines() == [
        "Team,MeanCumulativeRank",
        "A,1.625",
        "B,1.625",
        "C,2.5",
    ]
    assert json.loads(numbers.read_text())["parts"][0]["places"] == [1, 1, 3]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (TOY[:1], "one team"),
        ([*TOY, TOY[0]], "twice"),
        ([*TOY, "c3,A,84.9,0.1,0.5,0.1"], "a share from 0 to 1"),
        ([*TOY, "c3,A,0.8,-1,0.5,0.1"], "millimetres"),
        ([*TOY, "c3,A,0.8,one,0.5,0.1"], "is 'one'"),
        ([*TOY, ",A,0.8,0.1,0.5,0.1"], "names no case"),
        ([TOY[0], TOY[4]], "no case in common"),
        ([], "holds no scores"),
    ],
)
def test_a_table_that_cannot_be_ranked_ends_in_one_line(tmp_path, rows, words):
    done = rank(table(tmp_path, rows=rows))

    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_what_is_no_table_ends_in_one_line(tmp_path):
    path = tmp_path / "scores.json"
    for text in ("[1, 2]", "{", "\x00"):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"scores\.json"):
            read_scores(path)
    with pytest.raises(UsageError, match="extra_meatal"):
        score_cube(read_scores(table(tmp_path)), "2023")


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        table(tmp_path / folder, rows=["a,0.9,0.2,0.8,0.1"], header=HEADER.replace("Team,", ""))

    done = rank(tmp_path / "one" / "scores.csv", tmp_path / "two" / "scores.csv")

    assert done.exit_code == 2
    assert "two score tables both hold" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_table_that_is_not_there_ends_in_one_line(tmp_path):
    done = rank(tmp_path / "none.csv")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "none.csv: cannot be read" in done.stderr


def test_a_team_that_is_always_best_keeps_its_place_in_every_resample(tmp_path):
    rows = [
        f"c{k},{t},{d},{1 - d},{d},{1 - d}" for k in range(8) for t, d in (("A", 0.9), ("B", 0.5))
    ]
    steady = rank_stability(score_cube(read_scores(table(tmp_path, rows=rows))))

    assert steady.same_order == 1
    assert steady.tau == 1
    assert steady.teams[0].place_shares == (1, 0)
    assert steady.teams[1].cumulative_interval == (2, 2)


def test_two_teams_that_win_half_the_cases_each_change_places(tmp_path):
    """Of 2 cases drawn anew, a quarter are both won by A, a quarter by B, half are a tie."""
    pairs = (("1", "A", 0.9), ("1", "B", 0.5), ("2", "A", 0.5), ("2", "B", 0.9))
    rows = [f"c{k},{t},{d},{1 - d},{d},{1 - d}" for k, t, d in pairs]
    cube = score_cube(read_scores(table(tmp_path, rows=rows)))

    steady = rank_stability(cube, Bootstrap(4000, seed=1))

    assert steady.teams[0].place_shares[0] == pytest.approx(0.75, abs=0.03)
    assert steady.teams[0].cumulative_interval == (1, 2)
    once, again = (rank_stability(cube, Bootstrap(50, 7)) for _ in range(2))
    assert once.teams == again.teams
    assert math.isnan(once.tau)  # all cases together tie both teams


def test_resampled_means_agree_with_scipys_bootstrap():
    values = np.random.default_rng(3).normal(size=60)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, rng=np.random.default_rng(0), method="percentile"
    )

    means = resampled_means(values, Bootstrap(4000))

    assert means.std() == pytest.approx(oracle.standard_error, rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
