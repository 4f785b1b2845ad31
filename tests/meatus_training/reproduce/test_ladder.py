"""Rungs that differ in one thing each, trained and scored by one command."""

import json

import pytest
from click.testing import CliRunner

from meatus_phantom.cohort.make import write_cohort
from meatus_phantom.cohort.plan import CohortSettings
from meatus_training.errors import TrainingError
from meatus_training.reproduce.ladder import RUNGS, ladder, read_rungs, share_folders
from meatus_training.reproduce.settings import load_all
from meatus_training.settings_files import SettingsError
from tests.meatus_phantom.scenes import tiny_case
from tests.meatus_training.reproduce.tiny import done_stages, make_preset

FEW = {
    "translate": {"training": {"steps_per_epoch": 2}},
    "segment": {"steps": 2, "full_field_fraction": 0.0},
    "selftrain": {"rounds": 0},
    "export": {"members": 1},
}
TWO = """
c: {}
looks:
  segment: {augmentation: {tumour_look: {chance: 1.0}}}
f:
  segment: {train_on: target}
"""


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladder")
    settings = CohortSettings(source=2, target=2, validation=1, test=2, sites=("ldn",), seed=4)
    write_cohort(folder / "cohort", settings, make=tiny_case)
    (folder / "rungs.yaml").write_text(TWO)
    make_preset(folder / "preset", **FEW)
    return folder, climb(folder)


def climb(folder, *options):
    command = [str(folder / "cohort"), str(folder / "work"), "--workers", "1"]
    command += ["--preset", str(folder / "preset"), "--rungs", str(folder / "rungs.yaml")]
    return CliRunner().invoke(ladder, [*command, "--accelerator", "cpu", *options])


def test_every_rung_is_trained_and_scored_and_told_in_one_table(climbed):
    folder, ended = climbed

    assert ended.exit_code == 0, ended.output
    for name in ("c", "looks", "f"):
        scores = json.loads((folder / "work" / name / "test.scores.json").read_text())
        assert len(scores["cases"]) == 2
        assert f"rung {name}" in ended.stdout
    table = ended.stdout.rpartition("rung: Dice")[2]
    assert [word for word in ("c", "looks", "f") if f" {word} " in table] == ["c", "looks", "f"]


def test_the_table_has_what_one_chooses_by(climbed):
    folder, ended = climbed
    body = ended.stdout.rpartition("rung: Dice")[2].rpartition("━")[2]
    rows = [line.strip("│").split("│") for line in body.splitlines() if line.startswith("│")]

    assert len(rows) == 3
    for row in rows:
        name, *_, chosen_by = (cell.strip() for cell in row)
        scores = folder / "work" / name / "selftrain" / "round_0" / "validation.scores.json"
        overall = json.loads(scores.read_text())["summary"][0]["measures"]
        means = [overall[part]["dice"]["mean"] for part in ("whole_vs", "cochlea")]
        assert chosen_by == ", ".join(f"{mean:.2f}" for mean in means)


def test_what_rungs_share_is_made_once(climbed):
    folder, _ = climbed
    work = folder / "work"

    assert (work / "c" / "translate").resolve() == (work / "looks" / "translate").resolve()
    assert len({(work / name / "prepared").resolve() for name in ("c", "looks", "f")}) == 1
    assert (work / "c" / "segment").resolve() != (work / "looks" / "segment").resolve()
    assert (work / "c" / "segment").resolve() != (work / "f" / "segment").resolve()


def test_rounds_of_self_training_go_on_from_the_rung_below(tmp_path):
    names = ("b", "c", "d", "e", "edge")
    for name, changes in read_rungs(RUNGS, names).items():
        share_folders(tmp_path, tmp_path / name, load_all("ladder", changes))

    homes = {
        part: [(tmp_path / name / part).resolve() for name in names]
        for part in ("translated", "segment", "selftrain")
    }

    assert len({*homes["translated"][:4]}) == 1
    for part in ("segment", "selftrain"):
        b, c, d, e, edge = homes[part]
        assert c == d == e
        assert len({b, c, edge}) == 3


def test_a_second_climb_finds_everything_done(climbed):
    folder, _ = climbed
    before = done_stages(folder / "work")

    again = climb(folder, "--rung", "looks")

    assert again.exit_code == 0, again.output
    assert done_stages(folder / "work") == before
    assert "rung f" not in again.stdout
    assert again.stdout.count("done before, unchanged") == 9


def test_a_folder_without_test_scans_is_no_ladder(climbed, tmp_path):
    folder, _ = climbed
    (tmp_path / "preset").symlink_to(folder / "preset")
    (tmp_path / "rungs.yaml").write_text(TWO)
    (tmp_path / "cohort").mkdir()

    ended = climb(tmp_path)

    assert ended.exit_code == 2
    assert "no test scans with their truth" in ended.stderr


def test_every_rung_of_the_ladder_can_be_read_and_differs_from_the_others():
    rungs = {name: load_all("ladder", changes) for name, changes in read_rungs(RUNGS).items()}

    assert list(rungs)[:3] == ["a", "b", "c"]
    assert rungs["c"] == load_all("ladder")
    told = [repr(settings) for settings in rungs.values()]
    assert len(set(told)) == len(told)


def test_additions_stand_alone_and_grown2_has_those_of_the_preset_meatus():
    rungs = read_rungs(RUNGS)
    alone = ("head", "segmenter", "edge", "contrast", "neighbours")
    paper, ours = (load_all(preset).translate for preset in ("paper", "meatus"))

    # Clipping is no addition: every rung with one has it.
    changed = [{*rungs[name]["translate"]["training"]} - {"clip"} for name in alone]
    names = set().union(*changed)
    best = rungs["grown2"]["translate"]

    assert sum(map(len, changed)) == len(names)
    assert names & set(best["training"]) == {
        name for name in names if getattr(ours.training, name) != getattr(paper.training, name)
    }
    assert best.get("styles", "one") == ours.styles


@pytest.mark.parametrize(
    ("text", "chosen", "message"),
    [
        ("a: {translte: {}}", (), "a: expected rungs by name, and of each what changes in prepare"),
        ("[1, 2]", (), "the whole file: expected rungs"),
        ("a: {}", ("b",), "no rung b; there are a"),
    ],
)
def test_rungs_that_make_no_sense_are_refused(tmp_path, text, chosen, message):
    (tmp_path / "rungs.yaml").write_text(text)

    with pytest.raises(SettingsError, match=message):
        read_rungs(tmp_path / "rungs.yaml", chosen)


def test_windows_rendered_from_phantoms_are_no_rung():
    with pytest.raises(TrainingError, match="trains on 'phantoms'"):
        load_all("ladder", {"segment": {"train_on": "phantoms"}})
