import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from meatus.geometry import Geometry
from meatus.service.parallel import in_parallel
from meatus.spec import ReferenceCrop
from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import TABLE, prepared_hash, read_prepared, read_table
from meatus_training.prepare.make import shows_whole_head
from meatus_training.prepare.stage import prepare_command, run_prepare
from meatus_training.settings_files import save_settings
from tests.meatus_training.prepare.folders import (
    GRID,
    SMALL,
    SOURCE,
    TARGET,
    TWO,
    describe,
    head,
    labels,
    write,
    write_challenge,
)


@pytest.fixture
def data(tmp_path):
    return write_challenge(tmp_path / "data")


@pytest.fixture
def prepared(data, tmp_path):
    """Prepares; the cases by split and name."""

    def _prepared(settings=SMALL, workers=1):
        cases = run_prepare(data, tmp_path / "work", settings, workers)
        return {(case.split, case.name): case for case in cases}

    return _prepared


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def test_scans_become_arrays_that_the_networks_read(prepared, tmp_path):
    cases = prepared()

    assert len(cases) == 5
    for case in cases.values():
        voxels = case.load_voxels()
        assert isinstance(voxels, np.memmap)
        assert voxels.dtype == np.float16
        assert voxels.shape == case.geometry.shape == (6, 32, 32)
        assert voxels.min() == -1
        assert voxels.max() == 1
        assert case.complete
        assert case.size == (40, 40, 6)
        assert np.allclose(case.spacing_mm, 4)
    assert read_prepared(tmp_path / "work/prepared") == tuple(cases.values())


def test_only_the_source_has_labels_and_they_lie_where_they_were(prepared):
    cases = prepared()
    source = cases["source", "crossmoda2023_ldn_1"]

    sample = source.sample()

    assert sample.labels.dtype == np.uint8
    # Two by two voxels in four slices; the grids' steps are the same, so none is lost.
    assert [int((sample.labels == number).sum()) for number in (1, 2, 3)] == [16, 16, 16]
    z, y, x = (int(axis.mean()) for axis in np.nonzero(sample.labels == 3))
    at = source.geometry.position_mm((x + 0.5, y + 0.5, z + 0.5))
    assert np.allclose(at, GRID.position_mm((29.5, 19.5, 2.5)), atol=2.1)
    unlabelled = [case for case in cases.values() if case.split != "source"]
    assert len(unlabelled) == 3
    for case in unlabelled:
        assert case.labels is None
        with pytest.raises(TrainingError, match="has no labels"):
            case.sample()


def test_what_is_done_and_unchanged_stays(prepared, tmp_path):
    prepared()
    table, before = (tmp_path / "work/prepared" / TABLE).read_bytes(), times(tmp_path)

    prepared()

    assert times(tmp_path) == before
    assert (tmp_path / "work/prepared" / TABLE).read_bytes() == table


def test_a_changed_file_is_prepared_again_and_no_other(prepared, data, tmp_path):
    first, before = prepared(), times(tmp_path)
    write(data / f"{SOURCE}ldn_1_Label.nii.gz", labels({1: (18, 18), 3: (20, 30)}))

    second, after = prepared(), times(tmp_path)

    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"crossmoda2023_ldn_1.{kind}.npy" for kind in ("voxels", "labels")}
    key = ("source", "crossmoda2023_ldn_1")
    assert first[key].digest != second[key].digest
    assert prepared_hash(list(first.values())) != prepared_hash(list(second.values()))


def test_other_settings_prepare_everything_again(prepared, tmp_path):
    prepared()
    before = times(tmp_path)
    settings = replace(SMALL, normalisation=replace(SMALL.normalisation, power=1.0))

    cases = prepared(settings)

    assert all(before[name] != time for name, time in times(tmp_path).items())
    assert read_table(tmp_path / "work/prepared").settings == settings
    assert len(cases) == 5


def test_touched_files_of_the_same_content_leave_the_same_table(prepared, data, tmp_path):
    prepared()
    table = (tmp_path / "work/prepared" / TABLE).read_bytes()
    for file in data.rglob("*.nii.gz"):
        os.utime(file, (1, 1))

    prepared()

    assert (tmp_path / "work/prepared" / TABLE).read_bytes() == table


def test_a_case_that_was_cut_off_is_made_again(prepared, tmp_path):
    voxels = prepared()["target", "crossmoda2023_ldn_2"].voxels
    whole = voxels.read_bytes()
    voxels.rename(voxels.with_name(f".123.part.{voxels.name}"))

    prepared()

    assert voxels.read_bytes() == whole
    assert not list(tmp_path.rglob("*.part.*"))


@pytest.mark.parametrize("left", [0, 60])
def test_an_array_whose_content_a_power_failure_took_is_made_again(prepared, tmp_path, left):
    voxels = prepared()["target", "crossmoda2023_ldn_2"].voxels
    whole = voxels.read_bytes()
    voxels.write_bytes(whole[:left])

    prepared()

    assert voxels.read_bytes() == whole


def test_a_record_never_outlives_the_arrays_it_speaks_of(prepared, tmp_path, monkeypatch):
    prepared()
    monkeypatch.setattr("meatus_training.prepare.make.write_whole", stop)
    with pytest.raises(KeyboardInterrupt):
        prepared(replace(SMALL, normalisation=replace(SMALL.normalisation, power=1.0)))

    assert len(list((tmp_path / "work/prepared").rglob("*/crossmoda*.json"))) == 4


def stop(*_):
    raise KeyboardInterrupt


def test_two_workers_write_what_one_writes(prepared, data, tmp_path):
    one = prepared()
    two = run_prepare(data, tmp_path / "other", SMALL, workers=2)

    assert prepared_hash(two) == prepared_hash(list(one.values()))


def test_workers_end_with_a_main_process_that_is_killed(tmp_path):
    code = (
        "import os, time\n"
        "from meatus.service.parallel import in_parallel\n"
        "if __name__ == '__main__':\n"
        "    for _ in in_parallel(time.sleep, [0, 0, 60, 60], 2):\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "run.py").write_text(code)
    # The pipe closes when the last process that holds it has ended.
    run = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, timeout=50)
    assert run.returncode == -9


def test_results_come_with_their_jobs():
    assert list(in_parallel(len, ["a", "bb"], 1)) == [("a", 1), ("bb", 2)]


def test_everything_wrong_is_told_at_once_and_nothing_is_written(prepared, data, tmp_path):
    (data / f"{SOURCE}ldn_1_Label.nii.gz").unlink()
    write(data / f"{SOURCE}etz_1_Label.nii.gz", labels({7: (20, 20)}))
    (data / f"{TARGET}ldn_2_T2.nii.gz").write_bytes(b"no scan")
    twin = data / f"{TARGET}etz_9_T2.nii.gz"
    twin.write_bytes((data / f"{TARGET}etz_2_T2.nii.gz").read_bytes())

    with pytest.raises(TrainingError) as caught:
        prepared()

    told = str(caught.value)
    assert "4 things to put right; nothing was started" in told
    for name in ("ldn_1_ceT1", "etz_1_Label", "ldn_2_T2", "etz_9_T2"):
        assert sum(f"crossmoda2023_{name}.nii.gz" in line for line in told.splitlines()) == 1
    assert not (tmp_path / "work").exists()


def test_an_undivided_tumour_becomes_extra_meatal_where_that_is_asked_for(tmp_path):
    write(tmp_path / "data/crossmoda_1_ceT1.nii.gz", head())
    write(tmp_path / "data/crossmoda_1_Label.nii.gz", labels(TWO))
    write(tmp_path / "data/crossmoda_106_hrT2.nii.gz", head(seed=1))
    settings = replace(SMALL, whole_tumour="extra")

    source, _ = run_prepare(tmp_path / "data", tmp_path / "work", settings)

    assert np.unique(source.load_labels()).tolist() == [0, 1, 3]


def test_labels_of_nnunet_are_renumbered_by_their_names(tmp_path):
    parts = {"background": 0, "cochlea": 1, "intra": 2, "extra": 3}
    data = describe(tmp_path / "data", {"0": "T1"}, parts)
    write(data / "imagesTr/a_0000.nii.gz", head())
    write(data / "labelsTr/a.nii.gz", labels({1: (20, 10), 3: (20, 30)}))

    (case,) = run_prepare(data, tmp_path / "work", SMALL)

    x_of = {int(v): np.nonzero(case.load_labels() == v)[2].mean() for v in (1, 3)}
    assert x_of[3] < 16 < x_of[1]


def test_an_incomplete_scan_stays_uncropped(tmp_path):
    # 120 x 40 mm of a head, as small as the field or smaller along both axes: all is kept.
    part = Geometry((30, 17, 6), (4.0, 4.0, 4.0), (-60.0, -30.0, 0.0))
    write(tmp_path / "data/crossmoda2023_ukm_1_T2.nii.gz", head(part), part)

    (case,) = run_prepare(tmp_path / "data", tmp_path / "work", SMALL)

    assert not case.complete
    assert case.load_voxels().shape == (6, 32, 32)
    seen = (case.load_voxels() > -1).any(axis=0)
    assert seen.any(axis=1).sum() in (17, 18)  # their centres may lie half a voxel apart
    assert seen.any(axis=0).sum() in (30, 31)


@pytest.mark.parametrize("voxels", [256, 384])
def test_whole_heads_are_cut_alike_however_few_their_voxels(tmp_path, voxels):
    # A ceT1 of Tilburg has 256 voxels of 0.8 mm. Left whole, as the published code leaves small
    # images at inference, it showed 204 mm where others of training show 120 to 140.
    grid = Geometry((voxels, voxels, 6), (204.8 / voxels, 204.8 / voxels, 4.0), (0, 0, 0))
    write(tmp_path / "data/crossmoda2023_etz_1_T2.nii.gz", head(grid), grid)
    settings = replace(SMALL, crop=ReferenceCrop(size=(64, 64)))

    (case,) = run_prepare(tmp_path / "data", tmp_path / "work", settings)

    assert case.complete
    # Of 64 voxels, corners aligned, over 10/16 of 204.8 mm.
    assert case.geometry.spacing_mm[0] * 63 == pytest.approx(128, abs=1)


def test_slices_for_the_translator_are_sampled_once_from_the_scan(tmp_path):
    grid = Geometry((400, 400, 3), (0.5, 0.5, 10.0), (0, 0, 0))
    write(tmp_path / "data/crossmoda2023_ldn_1_T2.nii.gz", head(grid), grid)
    settings = replace(SMALL, crop=ReferenceCrop(size=(96, 96)), translation_size=250)

    (case,) = run_prepare(tmp_path / "data", tmp_path / "work", settings)

    assert case.load_voxels().shape == (3, 96, 96)
    slices = np.asarray(case.load_slices(250), np.float32)
    # The middle 10/16 of 400 voxels are 250: nothing is interpolated.
    seen = head(grid)[:, 75:325, 75:325].astype(np.float32)
    assert slices.shape == seen.shape
    low, high = seen.min(), seen.max()
    unit = (slices + 1) / 2
    assert np.corrcoef(unit.ravel(), ((seen - low) / (high - low)).ravel())[0, 1] > 0.98
    assert len(np.unique(slices)) <= len(np.unique(seen))
    assert case.load_slices(64).shape == (3, 96, 96)  # of another size there are none


def test_a_part_of_a_head_stays_whole(tmp_path):
    part = Geometry((400, 40, 3), (0.5, 0.5, 4.0), (-100.0, -10.0, 0.0))
    write(tmp_path / "data/crossmoda2023_ukm_1_T2.nii.gz", head(part), part)
    settings = replace(SMALL, crop=ReferenceCrop(size=(400, 400)))

    (case,) = run_prepare(tmp_path / "data", tmp_path / "work", settings)

    assert not case.complete
    # All 400 columns and 40 rows, padded to a square of 400 and kept at its size.
    assert (np.asarray(case.load_voxels()) > -1).any(axis=(0, 2)).sum() == 40
    assert case.geometry.spacing_mm == part.spacing_mm


@pytest.mark.parametrize(
    ("size_mm", "whole"),
    [
        ((200, 200, 40), True),
        ((200, 140, 40), True),
        ((200, 136, 40), False),  # odd: 0.68
        ((112, 112, 40), False),  # less than a head
        ((200, 200, 16), False),
    ],
)
def test_a_whole_head_is_known_by_its_millimetres(size_mm, whole):
    x, y, z = (side // 4 for side in size_mm)
    voxels = np.pad(np.ones((z, y, x), np.float32), ((0, 0), (5, 5), (5, 5)))  # blank borders

    assert (
        shows_whole_head(voxels, Geometry((x + 10, y + 10, z), (4.0, 4.0, 4.0), (0, 0, 0))) == whole
    )


def test_a_table_that_is_gone_or_broken_is_told(prepared, tmp_path):
    folder = tmp_path / "work/prepared"
    with pytest.raises(TrainingError, match=r"cases\.json: cannot be read .* run the prepare"):
        read_prepared(folder)
    next(iter(prepared().values())).voxels.unlink()
    with pytest.raises(TrainingError, match=r"ldn_1\.voxels\.npy gone|etz_1\.voxels\.npy gone"):
        read_prepared(folder)
    (folder / TABLE).write_text('{"cases": [{}]}')
    with pytest.raises(TrainingError, match="not a table of prepared scans"):
        read_prepared(folder)


def test_a_working_folder_may_move(prepared, tmp_path):
    prepared()
    (tmp_path / "work").rename(tmp_path / "moved")

    assert all(case.load_voxels().size for case in read_prepared(tmp_path / "moved/prepared"))


def run(data, work, settings=SMALL):
    preset = Path(work).parent / "prepare.yaml"
    preset.write_text(save_settings(settings))
    arguments = [data, work, "--preset", preset, "--workers", 1]
    return CliRunner().invoke(prepare_command, [str(argument) for argument in arguments])


def test_the_command_prints_the_survey(data, tmp_path):
    result = run(data, tmp_path / "work")

    assert result.exit_code == 0, result.output
    assert "crossMoDA 2023, 2 source, 2 target, 1 validation" in result.output
    assert "4.00 x 4.00 x 4.00" in result.output
    assert "5 scans prepared, 0 were there" in result.output


def test_the_command_ends_with_exit_code_2_and_the_list(data, tmp_path):
    (data / f"{SOURCE}ldn_1_Label.nii.gz").unlink()

    result = run(data, tmp_path / "work")

    assert result.exit_code == 2
    assert "1 thing to put right" in result.stderr
    assert "ldn_1_ceT1.nii.gz: its label map" in result.stderr


def test_the_command_takes_an_undivided_tumour_as_told(tmp_path):
    write(tmp_path / "data/crossmoda_1_ceT1.nii.gz", head())
    write(tmp_path / "data/crossmoda_1_Label.nii.gz", labels(TWO))

    assert run(tmp_path / "data", tmp_path / "work").exit_code == 2
    arguments = [str(tmp_path / "data"), str(tmp_path / "work"), "--preset", "smoke"]
    result = CliRunner().invoke(prepare_command, [*arguments, "--vs-as", "extra", "--workers", "1"])
    assert result.exit_code == 0, result.output
