import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from meatus.cli import main
from meatus.errors import UsageError
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels
from meatus_evaluation.scoring.score_tables import scores_of
from meatus_evaluation.studies.compare import compare, holm, wilcoxon_p
from tests.meatus_evaluation.label_maps import save as save_map


def result(name, dice, assd=None):
    """A side's scores of the cochlea by case."""
    rows = [
        {"case": case, "cochlea_dice": value, "cochlea_assd": (assd or {}).get(case)}
        for case, value in dice.items()
    ]
    return scores_of(rows, name, name)


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def save(folder, name, boxes):
    save_map(folder / name, boxes)


def test_paired_differences_are_as_computed_on_paper():
    """Differences +0.1, -0.3, +0.2, 0: mean 0, median 0.05."""
    first = result("A", {"a": 0.5, "b": 0.8, "c": 0.5, "d": 0.5})
    second = result("B", {"a": 0.6, "b": 0.5, "c": 0.7, "d": 0.5})

    (found,) = compare(first, second).columns

    assert found.mean_a == pytest.approx(0.575)
    assert found.mean_difference == pytest.approx(0)
    assert found.median_difference == pytest.approx(0.05)
    assert (found.better, found.worse) == (2, 1)
    assert [pair.case for pair in found.worst(5)] == ["b"]
    assert found.worst(5)[0].difference == pytest.approx(-0.3)
    assert found.p == 1  # ranks +1 +2 against -3: the middle of all eight signs


def test_for_a_distance_more_is_worse_and_the_worst_come_first():
    dice = dict.fromkeys("abc", 0.5)
    first = result("A", dice, {"a": 1.0, "b": 1.0, "c": 1.0})
    second = result("B", dice, {"a": 3.0, "b": 0.5, "c": 9.0})

    assd, same = compare(first, second).columns

    assert str(assd.column) == "cochlea assd"
    assert [pair.case for pair in assd.worst(5)] == ["c", "a"]
    assert (assd.better, assd.worse) == (1, 2)
    assert (same.p, same.difference_interval) == (1, (0, 0))


def test_wilcoxon_is_exact_for_few_cases_and_drops_zeros():
    """Five differences of one sign: 2 of the 32 signs are as extreme."""
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0, 0])) == pytest.approx(2 / 32)


def test_holm_corrects_as_on_paper_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_each_comparison_carries_the_corrected_p():
    rng = np.random.default_rng(0)
    first, second = (
        result(
            name,
            {str(k): v for k, v in enumerate(rng.uniform(low, 1, 30))},
            {str(k): v for k, v in enumerate(rng.uniform(0, 1, 30))},
        )
        for name, low in (("A", 0.2), ("B", 0.7))
    )

    assd, dice = compare(first, second).columns

    assert dice.p == stats.wilcoxon([pair.difference for pair in dice.pairs]).pvalue
    assert dice.p_holm == min(2 * dice.p, 1)
    assert assd.p_holm == max(assd.p, dice.p_holm)
    low, high = dice.difference_interval
    assert low < dice.mean_difference < high


def test_cases_of_one_side_alone_are_listed():
    found = compare(result("A", {"a": 0.5, "b": 0.5}), result("B", {"b": 0.6, "c": 0.6}))

    assert (found.only_a, found.only_b, found.cases) == (("a",), ("c",), 1)


def test_a_number_of_one_side_alone_is_listed():
    found = compare(
        result("A", {"a": 0.5, "b": 0.5}, {"a": 1}), result("B", {"a": 0.6, "b": 0.6}, {"b": 1})
    )

    assert [str(entry.column) for entry in found.columns] == ["cochlea dice"]
    assert found.unpaired == ("a: cochlea assd", "b: cochlea assd")


def test_two_folders_are_scored_and_compared(tmp_path):
    truth = {1: np.s_[1:3, 5:10, 5:9], 2: np.s_[1:3, 5:10, 9:12], 3: np.s_[1:3, 2:4, 2:4]}
    for case in "ab":
        save(tmp_path / "truth", f"{case}_Label.nii.gz", truth)
        save(tmp_path / "good", f"{case}.nii.gz", truth)
    save(tmp_path / "bad", "a.nii.gz", truth)  # b is missing
    numbers = tmp_path / "compared.json"

    sides = (tmp_path / "good", tmp_path / "bad", "--reference", tmp_path / "truth")
    done = run(*sides, "--json", numbers)

    assert done.exit_code == 1
    assert done.stderr == f"error: {tmp_path / 'bad'}: b: no prediction. Scored as empty.\n"
    columns = json.loads(numbers.read_text())["columns"]
    cochlea = next(c for c in columns if c["column"] == {"structure": "cochlea", "metric": "dice"})
    assert cochlea["mean_difference"] == -0.5
    assert cochlea["pairs"][0] == {"case": "b", "before": 1.0, "after": 0.0}
    assert "b" in done.output


def test_score_tables_are_compared_too(tmp_path):
    for name, dice in (("a.csv", 0.5), ("b.csv", 0.25)):
        (tmp_path / name).write_text(f"case,cochlea_dice\nx,{dice}\n")

    done = run(tmp_path / "a.csv", tmp_path / "b.csv")

    assert done.exit_code == 0
    assert "-0.2500" in done.output


def test_cases_that_got_worse_are_listed_where_there_are_any(tmp_path):
    for name, dice in (("a.csv", 0.5), ("b.csv", 0.25)):
        (tmp_path / name).write_text(f"case,cochlea_dice\nx,{dice}\n")
    worse, better = (
        (tmp_path / "a.csv", tmp_path / "b.csv"),
        (tmp_path / "b.csv", tmp_path / "a.csv"),
    )

    outputs = [run(*worse).output, run(*worse, "--worst", 0).output, run(*better).output]

    assert ["got worse most" in output for output in outputs] == [True, False, False]


def test_nothing_in_common_ends_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="no case in common"):
        compare(result("A", {"a": 0.5}), result("B", {"b": 0.5}))
    with pytest.raises(UsageError, match="no dice or assd"):
        compare(scores_of([{"case": "a", "vs_dice": 1}], "A", "A"), result("B", {"a": 0.5}))
    (tmp_path / "two.csv").write_text("case,team,vs_dice\na,A,1\na,B,1\n")

    no_reference = run(tmp_path, tmp_path)
    two_teams = run(tmp_path / "two.csv", tmp_path / "two.csv")

    assert (no_reference.exit_code, two_teams.exit_code) == (2, 2)
    assert "--reference" in no_reference.stderr
    assert "holds 2 teams" in two_teams.stderr


def test_folders_on_another_grid_are_refused_unless_resampled(tmp_path):
    box = {3: np.s_[1:3, 2:4, 2:4]}
    save(tmp_path / "truth", "a_Label.nii.gz", box)
    save(tmp_path / "good", "a.nii.gz", box)
    (tmp_path / "other").mkdir()
    taller = Geometry((20, 20, 5), (0.5, 0.5, 1.5), (0, 0, 0))
    voxels = np.zeros(taller.shape, dtype=np.uint8)
    voxels[box[3]] = 3
    write_labels(Labels(voxels, taller), tmp_path / "other" / "a.nii.gz")
    sides = (tmp_path / "good", tmp_path / "other", "--reference", tmp_path / "truth")

    refused, taken = run(*sides), run(*sides, "--resample")

    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "another grid" in refused.stderr
    assert (taken.exit_code, taken.stderr) == (0, "")
