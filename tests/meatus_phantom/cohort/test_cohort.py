"""Cohorts of tiny scenes: what is planned, what is written, what a second run finds."""

import csv
import gzip
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from meatus.cli import main
from meatus_phantom import cli
from meatus_phantom.anatomy.tumour.lesions import DIFFICULT, LesionMix
from meatus_phantom.cohort.files import volume_bytes
from meatus_phantom.cohort.make import Writer, write_cohort
from meatus_phantom.cohort.plan import CohortSettings, plan_cohort, share_patients
from meatus_phantom.contours import Patient
from meatus_phantom.errors import PhantomError
from meatus_phantom.validate.checks import check_reproducible
from tests.meatus_phantom.scenes import GRID, tiny_case

SMALL = CohortSettings(source=1, target=1, validation=1, test=1, sites=("ldn", "etz"), seed=3)
SOURCE, TARGET = "crossmoda23_training/TrainingSource", "crossmoda23_training/TrainingTarget"

write = partial(write_cohort, make=tiny_case)


def drawn(x):
    """What placing asks a contour for, about (x, 0, 0)."""
    return SimpleNamespace(centre_mm=(x, 0.0, 0.0))


def patients(count, cochlea=True):
    return [
        Patient(f"sub-{n:03d}", drawn(20.0), drawn(37.0) if cochlea else None) for n in range(count)
    ]


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(folder):
    with (folder / "cohort.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "out"
    assert write(folder, SMALL) == 4
    return folder


def test_files_bear_the_challenges_names_and_truth_lies_apart(small):
    names = set(files_of(small))

    assert names == {
        f"{SOURCE}/crossmoda2023_ldn_1_ceT1.nii.gz",
        f"{SOURCE}/crossmoda2023_ldn_1_Label.nii.gz",
        f"{TARGET}/crossmoda2023_ldn_2_T2.nii.gz",
        "crossmoda23_validation/crossmoda2023_ldn_3_T2.nii.gz",
        "crossmoda23_test/crossmoda2023_ldn_4_T2.nii.gz",
        "truth/target/crossmoda2023_ldn_2_Label.nii.gz",
        "truth/validation/crossmoda2023_ldn_3_Label.nii.gz",
        "truth/test/crossmoda2023_ldn_4_Label.nii.gz",
        "truth/tissues/crossmoda2023_ldn_1_ceT1_Tissues.nii.gz",
        "truth/tissues/crossmoda2023_ldn_2_T2_Tissues.nii.gz",
        "truth/tissues/crossmoda2023_ldn_3_T2_Tissues.nii.gz",
        "truth/tissues/crossmoda2023_ldn_4_T2_Tissues.nii.gz",
        "cohort.csv",
        "cohort.json",
    }


def test_a_scan_is_int16_its_labels_uint8_and_both_lie_where_they_should(small):
    scan = nib.load(small / SOURCE / "crossmoda2023_ldn_1_ceT1.nii.gz")
    labels = nib.load(small / SOURCE / "crossmoda2023_ldn_1_Label.nii.gz")

    assert (scan.get_data_dtype(), labels.get_data_dtype()) == (np.int16, np.uint8)
    for image in (scan, labels):
        assert image.shape == GRID.size
        assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
        right, anterior, up, _ = image.affine @ (3, 4, 5, 1)
        x, y, z = GRID.position_mm((3, 4, 5))
        np.testing.assert_allclose((right, anterior, up), (-x, -y, z), atol=1e-4)
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)


def test_a_volume_keeps_its_voxels_in_place(tmp_path):
    voxels = np.zeros(GRID.shape, dtype=np.int16)
    voxels[5, 4, 3] = 7
    (tmp_path / "one.nii.gz").write_bytes(volume_bytes(voxels, GRID))

    assert np.asarray(nib.load(tmp_path / "one.nii.gz").dataobj)[3, 4, 5] == 7


def test_the_table_has_a_row_for_each_scan_with_everything_drawn(small):
    rows = rows_of(small)

    assert [row["split"] for row in rows] == ["source", "target", "validation", "test"]
    assert {row["text"] for row in rows} == {"one, two"}
    assert len({row["subject_seed"] for row in rows}) == 4
    for row in rows:
        assert (small / row["scan"]).exists()
        assert row["left_source"] + row["right_source"] == "procedural"


def test_the_same_seed_gives_the_same_bytes_on_two_workers(small, tmp_path):
    write(tmp_path / "two", SMALL, workers=2)

    assert files_of(tmp_path / "two") == files_of(small)


def test_another_seed_gives_other_scans(small, tmp_path):
    write(tmp_path / "other", CohortSettings(source=1, sites=("ldn",), seed=4))

    name = f"{SOURCE}/crossmoda2023_ldn_1_ceT1.nii.gz"
    assert (tmp_path / "other" / name).read_bytes() != (small / name).read_bytes()


def test_a_resumed_cohort_keeps_whole_files_and_mends_broken_ones(small, tmp_path):
    write(tmp_path / "out", SMALL)
    broken = tmp_path / "out" / TARGET / "crossmoda2023_ldn_2_T2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:1000])
    (tmp_path / "out" / "truth/test/crossmoda2023_ldn_4_Label.nii.gz").unlink()

    assert write(tmp_path / "out", SMALL, resume=True) == 2
    assert files_of(tmp_path / "out") == files_of(small)


def test_a_cohort_that_was_cut_short_goes_on_to_the_same_files(small, tmp_path):
    def fails_at_last(*arguments, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return tiny_case(*arguments, **options)

    left = 2
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "out", SMALL, make=fails_at_last)
    assert not (tmp_path / "out" / "cohort.csv").exists()

    assert write(tmp_path / "out", SMALL, resume=True) == 2
    assert files_of(tmp_path / "out") == files_of(small)


def test_a_cohort_goes_on_with_its_own_settings_alone(tmp_path):
    write(tmp_path / "out", CohortSettings(source=1, seed=1))

    with pytest.raises(PhantomError, match="made with another seed"):
        write(tmp_path / "out", CohortSettings(source=1, seed=2), resume=True)
    with pytest.raises(PhantomError, match=r"is not empty.*--resume"):
        write(tmp_path / "out", CohortSettings(source=1, seed=1))


def test_nothing_is_written_among_other_files(tmp_path):
    (tmp_path / "a patient.nii.gz").write_bytes(b"real")

    for resume in (False, True):
        with pytest.raises(PhantomError, match="is not empty"):
            write(tmp_path, SMALL, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["a patient.nii.gz"]


def test_paired_subjects_are_seen_in_both_contrasts():
    plans = plan_cohort(CohortSettings(source=1, target=1, test=1, paired=True, sites=("ukm",)))

    scans = [(plan.scan, plan.label) for plan in plans if plan.paired]
    assert scans == [
        ("paired/crossmoda2023_ukm_1_T2.nii.gz", "paired/crossmoda2023_ukm_1_Label.nii.gz"),
        ("paired/crossmoda2023_ukm_2_ceT1.nii.gz", "paired/crossmoda2023_ukm_2_Label.nii.gz"),
        ("paired/crossmoda2023_ukm_3_ceT1.nii.gz", "paired/crossmoda2023_ukm_3_Label.nii.gz"),
    ]
    for own, other in zip(plans[::2], plans[1::2], strict=True):
        assert own.subject_seed == other.subject_seed
        assert own.scan_seed != other.scan_seed


def test_a_subject_does_not_change_when_another_split_grows():
    few = plan_cohort(CohortSettings(source=2, test=1))
    more = plan_cohort(CohortSettings(source=2, target=5, test=1))

    assert [p.subject_seed for p in few if p.split == "test"] == [
        p.subject_seed for p in more if p.split == "test"
    ]
    assert len({p.subject_seed for p in more} | {p.scan_seed for p in more}) == 16


def test_the_share_of_random_scans_holds_and_spares_what_is_judged():
    plans = plan_cohort(
        CohortSettings(source=30, target=30, validation=30, random_share=0.3, sites=("ldn", "etz"))
    )

    counts = {
        split: sum(plan.random for plan in plans if plan.split == split)
        for split in ("source", "target", "validation")
    }
    assert counts == {"source": 8, "target": 8, "validation": 0}  # 4 of each site's 15
    assert not any(plan.random and plan.tissues for plan in plans)


@pytest.mark.parametrize("kind", ["stripped", "difficult"])
def test_the_share_of_unusual_heads_holds_in_the_target_alone(kind):
    settings = CohortSettings(source=20, target=20, validation=20, sites=("ldn", "etz"))
    settings = replace(settings, **{f"{kind}_share": 0.2})

    chosen = [plan for plan in plan_cohort(settings) if getattr(plan, kind)]

    assert [plan.split for plan in chosen] == ["target"] * 4
    assert [plan.site for plan in chosen] == ["ldn", "etz"] * 2
    assert not any(plan.stripped and plan.tissues for plan in chosen)


def test_unusual_heads_are_not_all_of_the_same_scans():
    settings = CohortSettings(
        target=60, random_share=0.3, stripped_share=0.1, difficult_share=0.3, sites=("ldn",)
    )

    plans = plan_cohort(settings)

    assert any(plan.stripped and not plan.random for plan in plans)
    assert any(plan.difficult and not (plan.random or plan.stripped) for plan in plans)


def test_a_difficult_head_is_drawn_from_the_mix_of_those(tmp_path):
    seen = []

    def make(subject, _scan, _site, _modality, recipe, *_rest):
        seen.append(recipe.mix_of(subject))
        raise InterruptedError

    settings = CohortSettings(target=4, difficult_share=0.5, sites=("ldn",))
    writer = Writer(tmp_path, share_patients([], settings), "cpu", make)
    for plan in plan_cohort(settings):
        with pytest.raises(InterruptedError):
            writer.write(plan)

    assert seen == [DIFFICULT, LesionMix(), DIFFICULT, LesionMix()]


def test_each_patient_is_met_in_one_split():
    settings = CohortSettings(source=10, target=10, validation=5, test=5)
    shares = share_patients(patients(12), settings)

    assert {split: len(group) for split, group in shares.items()} == {
        "source": 4,
        "target": 4,
        "validation": 2,
        "test": 2,
    }
    assert len({patient for group in shares.values() for patient in group}) == 12
    remade = share_patients(list(reversed(patients(12))), settings)
    assert {s: [p.subject for p in g] for s, g in remade.items()} == {
        s: [p.subject for p in g] for s, g in shares.items()
    }


def test_patients_without_a_cochlea_cannot_be_placed():
    with pytest.raises(PhantomError, match="none of 2 patients has a cochlea"):
        share_patients(patients(2, cochlea=False), SMALL)


def test_a_scan_made_again_is_the_same(small):
    check = check_reproducible(small, 2, make=tiny_case)

    assert (check.measured, check.count, check.verdict) == (0, 2, "ok")
    changed = check_reproducible(small, 2, make=partial(tiny_case, change="soft"))
    assert (changed.measured, changed.verdict) == (2, "OUT")


def run(*arguments):
    """A command of ``meatus phantom``."""
    return CliRunner().invoke(main, ["phantom", *map(str, arguments)])


def test_the_command_tells_of_each_scan_in_a_plain_line(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "write_cohort", partial(write_cohort, make=tiny_case))

    done = run("cohort", tmp_path / "out", "--source", 2, "--sites", "etz", "--workers", 1)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "[1/2] crossmoda2023_etz_1_ceT1.nii.gz",
        "[2/2] crossmoda2023_etz_2_ceT1.nii.gz",
        f"{tmp_path / 'out'}: 2 scans made",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "nothing to make"),
        (("--source", 1, "--contours", "{folder}"), "holds no"),
        (("--source", 1, "--contours", "{folder}/bad"), "bad.json: not JSON"),
        (("--source", 1, "--sites", "oslo"), "known are ldn, etz, ukm"),
    ],
)
def test_what_a_user_can_put_right_ends_in_one_line(tmp_path, options, expected):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.json").write_text("no contours")

    words = [str(word).format(folder=tmp_path) for word in options]
    done = run("cohort", tmp_path / "out", "--device", "cpu", *words)

    assert done.exit_code == 2
    assert expected in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_bad_contour_file_is_one_line_and_the_others_are_written(tmp_path):
    loop = [[x + 20, y, 0] for x, y in ((0, 0), (9, 0), (9, 9), (0, 9), (0, 0))]
    loops = [[[x, y, z] for x, y, _ in loop] for z in (0, 1.5, 3, 4.5)]
    good = [{"structure_name": "TV", "LPS_contour_points": loops}]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "sub-001.json").write_text(json.dumps(good))
    with gzip.open(tmp_path / "in" / "sub-002.json.gz", "wt") as file:
        file.write(json.dumps([{"structure_name": "TV"}]))

    done = run("contours", tmp_path / "in", tmp_path / "out")

    assert done.exit_code == 1
    assert sum("sub-002" in line for line in done.stdout.splitlines()) == 1
    assert (tmp_path / "out" / "sub-001_Label.nii.gz").exists()
