"""What weights say of the scans that they were trained on."""

import pytest

from meatus.geometry import Geometry
from meatus_training.prepare.cases import PreparedCase
from meatus_training.runs.provenance import described, fine_tuned_from, labelled
from tests.meatus.onnx_files import tiny_spec

GRID = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
SPLITS = {
    "source": "crossmoda23_training/TrainingSource",
    "target": "crossmoda23_training/TrainingTarget",
    "validation": "crossmoda23_validation",
}


def cases_of(data, **counts):
    """Prepared scans whose files lie below ``data`` as the challenge's do."""
    return [
        PreparedCase(
            name=f"{split}_{number}",
            split=split,
            site="ldn",
            modality="ceT1" if split == "source" else "hrT2",
            scan=data / SPLITS[split] / f"{split}_{number}.nii.gz",
            voxels=data / "v.npy",
            labels=None,
            size=GRID.size,
            spacing_mm=GRID.spacing_mm,
            geometry=GRID,
            complete=True,
            digest="0",
        )
        for split, count in counts.items()
        for number in range(count)
    ]


@pytest.fixture
def phantoms(tmp_path):
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "cohort.json").write_text("{}")
    return cases_of(tmp_path / "cohort", source=2, target=3, validation=4)


@pytest.fixture
def others(tmp_path):
    return cases_of(tmp_path / "scans", source=1, target=1, validation=1)


def test_phantoms_are_called_phantoms_and_nothing_real(phantoms):
    assert described(phantoms) == (
        "2 labelled ceT1 and 3 unlabelled hrT2 synthetic phantoms, no real scan; "
        "not for clinical use"
    )
    assert labelled(phantoms[:2], "ceT1") == (
        "2 labelled ceT1 synthetic phantoms, no real scan; not for clinical use"
    )


def test_other_scans_are_only_counted(others):
    assert described(others) == "1 labelled ceT1 and 1 unlabelled hrT2 scans; not for clinical use"
    assert labelled(others[:1], "ceT1") == "1 labelled ceT1 scans; not for clinical use"


def test_a_mixture_says_how_many_are_phantoms(phantoms, others):
    assert described(phantoms + others) == (
        "3 labelled ceT1 and 4 unlabelled hrT2 scans, 5 of them synthetic phantoms; "
        "not for clinical use"
    )


def test_a_cohort_file_far_above_the_scans_makes_them_no_phantoms(tmp_path):
    (tmp_path / "cohort.json").write_text("{}")

    assert "phantom" not in described(cases_of(tmp_path / "a" / "b", source=1, target=1))


def test_weights_that_go_on_name_what_went_before():
    phantoms = "84 labelled hrT2 synthetic phantoms, no real scan; not for clinical use"
    real = "3 labelled hrT2 scans; not for clinical use"

    drawn = tiny_spec(name="a", trained_on=phantoms.replace("84", "224"), history=("c: 9 scans",))
    seen = tiny_spec(name="b", trained_on=real)

    before = ("a: 224 labelled hrT2 synthetic phantoms, no real scan", "c: 9 scans")
    assert fine_tuned_from(phantoms, drawn) == (phantoms, before)
    assert fine_tuned_from(real, drawn) == (real, before)
    assert fine_tuned_from(phantoms, seen) == (
        "84 labelled hrT2 synthetic phantoms; not for clinical use",
        ("b: 3 labelled hrT2 scans",),
    )
