"""A file a case is the truth of a report: runs side by side lose nothing, folders can be joined."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest

from meatus.errors import OutputError
from meatus.report import summary
from meatus.report.case_files import case_names, read_case, read_cases, write_case
from meatus.report.case_table import CaseReport, write_report
from meatus.report.pages import write_case_page
from meatus.report.summary import Summary, summarise
from meatus.report.tables import Tables
from tests.meatus.test_report import done
from tests.meatus.tiny_runs import ROOT, command, run, run_here, save_scan, write_weights

NAMES = ["=cmd()", "a", "a-b", "bytes\udcff", "größe", "line\nbreak", "study/a", "study/b"]


def rows(folder):
    with (folder / "report.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def told(folder):
    return [case["case"] for case in json.loads((folder / "report.json").read_text())["cases"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_read_as_it_was_written(tmp_path, name):
    report = done(name, warnings=("axes repaired",))

    write_case(tmp_path, report)

    assert read_case(tmp_path, name) == report
    assert case_names(tmp_path) == [name]


def test_tables_are_made_of_the_files_in_order_of_the_names(tmp_path):
    for name in reversed(NAMES):
        write_case(tmp_path, CaseReport(name, error="no scan"))
    (tmp_path / "cases" / ".0123456789abcdef.part").write_text("of a run that was killed")

    Tables(tmp_path).finish()

    assert told(tmp_path) == NAMES
    assert len(rows(tmp_path)) == len(NAMES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected an object"),
        (b"{}", "no entry 'format'"),
        (b'{"format": 9}', "expected format 1"),
        (b'{"format": 1, "case": 3}', "at 'case'"),
        (b'{"format": 1, "case": "other"}', "it is of the case other"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_damaged_file_is_told_in_one_line_and_costs_the_others_nothing(tmp_path, content, reason):
    write_case(tmp_path, done("a"))
    write_case(tmp_path, done("c"))
    (tmp_path / "cases" / "b.json").write_bytes(content)

    with pytest.raises(OutputError, match=reason) as caught:
        Tables(tmp_path).finish()

    assert "b.json: not what a case's report should be" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert told(tmp_path) == ["a", "c"]


def test_a_case_that_is_made_again_replaces_its_row(tmp_path):
    write_case(tmp_path, CaseReport("a", error="full disk"))
    tables = Tables(tmp_path)
    tables.finish()

    write_case(tmp_path, done("a"))
    tables.finish()

    assert rows(tmp_path)["a"]["status"] == "done"


def test_tables_that_cost_much_are_not_made_after_every_case(tmp_path):
    tables = Tables(tmp_path)
    write_case(tmp_path, done("a"))
    tables.refresh()
    assert told(tmp_path) == ["a"]

    tables.due = float("inf")  # as after tables that took long
    write_case(tmp_path, done("b"))
    tables.refresh()
    assert told(tmp_path) == ["a"]

    tables.finish()
    assert told(tmp_path) == ["a", "b"]


def test_an_index_shows_the_most_urgent_and_says_how_many_more_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "SHOWN", 2)
    for name in "abcdef":
        write_case(tmp_path, done(name))
    write_case(tmp_path, CaseReport("z", error="no scan"))

    Tables(tmp_path).finish()

    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'href="cases/(\w)\.html"', page) == ["z", "a"]
    assert "5 more cases stand in report.csv." in page
    assert "7 cases; " in page


def test_no_more_reports_are_kept_than_are_shown(monkeypatch):
    monkeypatch.setattr(summary, "SHOWN", 3)
    counted = Summary()

    kept = [len(counted.kept) for _ in counted.of(done(str(number)) for number in range(50))]

    assert max(kept) < 6
    assert counted.cases == 50


WRITER = """
import sys
from pathlib import Path
from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport
from meatus.report.tables import Tables
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tables = Tables(folder)
tables.start()
for number in range(count):
    write_case(folder, CaseReport(f"{name}-{number}", error="no scan"))
    tables.due = 0
    tables.refresh()
tables.finish()
"""


@pytest.mark.parametrize("runs", [2, 8])
def test_processes_that_report_into_one_folder_lose_no_row(tmp_path, runs):
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number), "20"], cwd=ROOT)
        for number in range(runs)
    ]

    assert [process.wait(timeout=120) for process in processes] == [0] * runs
    expected = sorted(f"{run}-{number}" for run in range(runs) for number in range(20))
    assert told(tmp_path) == expected
    assert sorted(rows(tmp_path)) == expected
    assert f"{20 * runs} cases; " in (tmp_path / "index.html").read_text()


def test_two_runs_of_predict_into_one_report_keep_each_others_rows(tmp_path):
    weights = write_weights(tmp_path)
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_scan(tmp_path / name / f"{name}_T2.nii.gz")
        arguments = command(
            "predict", tmp_path / name, tmp_path / "out", "--weights", weights, "--device", "cpu",
            "--quality", "fast", "--report", tmp_path / "report",
        )  # fmt: skip
        runs.append(subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL))

    assert [process.wait(timeout=120) for process in runs] == [0, 0]
    assert sorted(rows(tmp_path / "report")) == ["a", "b"]


def folder_with(folder, *reports):
    for report in reports:
        write_case(folder, report)
        write_case_page(folder, report)
    Tables(folder).finish()
    return folder


def test_folders_are_joined_with_their_pages(tmp_path):
    one = folder_with(tmp_path / "one", done("a"), done("study/b"))
    other = folder_with(tmp_path / "other", done("c"))

    merged = run_here("report", "merge", one, other, tmp_path / "all")

    assert merged.exit_code == 0, merged.output
    assert merged.output == f"{tmp_path / 'all'}: 3 cases, 3 of them new here\n"
    assert told(tmp_path / "all") == ["a", "c", "study/b"]
    assert (tmp_path / "all" / "cases" / "study" / "b.html").is_file()
    assert (tmp_path / "all" / "index.html").is_file()
    assert told(one) == ["a", "study/b"]  # what is joined stays as it was


def test_a_joined_report_does_not_change_with_the_one_it_came_from(tmp_path):
    one = folder_with(tmp_path / "one", done("a"))
    run_here("report", "merge", one, tmp_path / "all")

    folder_with(one, CaseReport("a", error="full disk"))

    assert read_case(tmp_path / "all", "a") == done("a")


def test_different_reports_of_a_case_are_not_joined_unseen(tmp_path):
    one = folder_with(tmp_path / "one", done("a"))
    other = folder_with(tmp_path / "other", CaseReport("a", error="full disk"))
    os.utime(one / "cases" / "a.json", (1, 1))

    refused = run_here("report", "merge", one, other, tmp_path / "all")
    newest = run_here("report", "merge", one, other, tmp_path / "new", "--newest")

    assert refused.exit_code == 2
    assert "both report the case a, and not the same" in refused.output
    assert not (tmp_path / "all").exists()
    assert newest.exit_code == 0
    assert rows(tmp_path / "new")["a"]["status"] == "failed"


def test_reports_that_are_the_same_are_joined_as_one(tmp_path):
    folders = [folder_with(tmp_path / name, done("a")) for name in ("one", "other")]

    merged = run_here("report", "merge", *folders, tmp_path / "all")

    assert (merged.exit_code, told(tmp_path / "all")) == (0, ["a"])


def test_tables_are_made_anew_from_the_files_alone(tmp_path):
    folder = folder_with(tmp_path / "one", done("a"))
    for name in ("report.csv", "report.json", "index.html"):
        (folder / name).unlink()

    assert run_here("report", "merge", folder).exit_code == 0
    assert (told(folder), list(rows(folder))) == (["a"], ["a"])


def test_a_table_without_files_of_its_cases_keeps_its_rows(tmp_path):
    write_report(tmp_path, [done("a")])

    assert run_here("report", "merge", tmp_path).exit_code == 0
    assert read_case(tmp_path, "a") == done("a")


@pytest.mark.parametrize("folders", [("none",), ("empty",), ("none", "empty"), ("empty", "none")])
def test_where_there_is_nothing_to_join_one_line_says_so(tmp_path, folders):
    (tmp_path / "empty").mkdir()

    done = run("report", "merge", *[tmp_path / name for name in folders])

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "none").exists()


def test_the_words_on_all_cases_never_reassure_where_some_failed():
    assert summarise([]).words == "no flags"
    assert summarise([done("a"), CaseReport("b", error="no scan")]).words == "1 failed"
    assert list(read_cases_of_nothing()) == []


def read_cases_of_nothing():
    return read_cases(ROOT / "none", [])
