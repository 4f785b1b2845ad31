"""Which cases a part holds, asked for or given by Slurm."""

import pytest

from meatus.cluster.parts import parse_part, part_of_array
from meatus.errors import UsageError
from meatus.service.request import Part
from tests.meatus.tiny_runs import run_here, save_scan, write_weights


def array(task, count, first, last):
    numbers = {"ID": task, "COUNT": count, "MIN": first, "MAX": last}
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in numbers.items()}


@pytest.mark.parametrize("of", [1, 3, 7, 16])
def test_parts_share_out_all_cases_once(of):
    held = [
        number
        for part in range(1, of + 1)
        for number in range(1, 11)
        if Part(part, of).holds(number)
    ]

    assert sorted(held) == list(range(1, 11))


def test_a_part_is_written_as_number_and_count():
    assert parse_part(" 3/16 ") == Part(3, 16)


@pytest.mark.parametrize("text", ["", "3", "0/16", "17/16", "-1/4", "a/b", "1/0", "1/2/3", "٣/٤"])
def test_what_is_no_part_is_told(text):
    with pytest.raises(ValueError, match="expected a number and of how many"):
        parse_part(text)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (array(1, 16, 1, 16), (1, 16)),
        (array(0, 16, 0, 15), (1, 16)),
        (array(15, 16, 0, 15), (16, 16)),
        (array(30, 3, 10, 30), (3, 3)),  # --array=10-30:10
        (array(5, 1, 5, 5), (1, 1)),
    ],
)
def test_a_task_of_an_array_takes_its_part(environment, expected):
    part = part_of_array(environment)

    assert (part.number, part.of) == expected
    assert f"task {environment['SLURM_ARRAY_TASK_ID']} of Slurm's array" in part.why


def test_outside_of_an_array_there_is_no_part():
    assert part_of_array({}) is None


@pytest.mark.parametrize(
    "environment",
    [array(5, 3, 1, 9) | {"SLURM_ARRAY_TASK_ID": "6"}, array(2, 3, 1, 4), array("x", 3, 1, 3)],
)
def test_an_array_with_gaps_is_refused(environment):
    with pytest.raises(UsageError, match="not evenly numbered"):
        part_of_array(environment)


def test_parts_label_all_scans_and_each_only_its_own(tmp_path, monkeypatch):
    weights = write_weights(tmp_path)
    (tmp_path / "in").mkdir()
    for name in "abc":
        save_scan(tmp_path / "in" / f"{name}_T2.nii.gz")
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast")

    first = run_here("predict", tmp_path / "in", tmp_path / "out", *options, "--part", "1/2")
    after_first = sorted(file.name for file in (tmp_path / "out").iterdir())
    for name, value in array(1, 2, 0, 1).items():
        monkeypatch.setenv(name, value)
    second = run_here("predict", tmp_path / "in", tmp_path / "out", *options)
    single = run_here("predict", tmp_path / "in" / "a_T2.nii.gz", tmp_path / "one", *options)

    assert (first.exit_code, second.exit_code, single.exit_code) == (0, 0, 0), first.output
    assert "part: 1 of 2\n" in first.output
    assert after_first == ["a.nii.gz", "c.nii.gz"]
    assert "part: 2 of 2 (task 1 of Slurm's array; --part 1/1 takes all)\n" in second.output
    assert "1 of 1 cases done" in second.output
    assert (tmp_path / "out" / "b.nii.gz").is_file()
    assert (tmp_path / "one" / "a.nii.gz").is_file()  # one scan is not shared out


def test_a_part_without_cases_is_done(tmp_path):
    weights = write_weights(tmp_path)
    scan = save_scan(tmp_path / "a_T2.nii.gz")

    done = run_here(
        "predict", scan, tmp_path / "out", "--weights", weights, "--device", "cpu", "--part", "2/2"
    )

    assert done.exit_code == 0
    assert "cases: 0" in done.output
    assert "0 of 0 cases done" in done.output
