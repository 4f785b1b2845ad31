"""Of several series the hrT2 of both ears is chosen, and why is told."""

import pytest

from meatus.dicom.study import find_series
from meatus.errors import UsageError
from tests.meatus.dicom.series_files import PATIENT, PLANES, head, save_series, uid

HRT2 = {"description": "AX CISS 0.6", "number": 6}
OTHERS = {
    "T1": ({"description": "AX T1 MPRAGE"}, "not T2-weighted by its name ('t1')"),
    "times": (
        {"description": "AX TSE", "RepetitionTime": "500", "EchoTime": "12"},
        "T1-weighted (TE 12, TR 500 ms)",
    ),
    "FLAIR": ({"description": "AX T2 FLAIR"}, "not T2-weighted by its name ('flair')"),
    "fluid": (
        {"description": "AX T2 fast", "ScanningSequence": "IR", "InversionTime": "2400"},
        "fluid nulled",
    ),
    "diffusion": ({"description": "EPI b1000", "ScanningSequence": "EP"}, "echo-planar"),
    "star": ({"description": "AX T2*"}, "not T2-weighted by its name ('t2*')"),
    "MIP": (
        {"description": "CISS MIP", "ImageType": ["DERIVED", "SECONDARY", "MIP"]},
        "computed images (MIP)",
    ),
    "phase": ({"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "phase, real or imaginary"),
    "scout": ({"description": "localizer"}, "localiser"),
    "CT": ({"Modality": "CT"}, "modality CT, not MR"),
    "spine": ({"description": "T2 SPACE C-Spine"}, "another part of the body"),
    "knee": ({"BodyPartExamined": "KNEE"}, "another part of the body"),
    "coarse": ({"spacing": (1.5, 1.5, 1.5)}, "pixels of 1.50 mm"),
    "thick": ({"spacing": (1.0, 1.0, 5.0)}, "slices 5.0 mm apart"),
    "one ear": ({"spacing": (0.4, 0.4, 1.5)}, "a field of 29 mm from left to right"),
    "slab": ({"spacing": (1.0, 1.0, 0.5)}, "a field of 4 mm from bottom to top"),
    "gradient": (
        {"description": "AX GRE", "ScanningSequence": "GR", "SequenceVariant": "SP"},
        "gradient echo without T2 in its name",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_series_is_not_chosen_and_why_is_told(tmp_path, kind):
    tags, reason = OTHERS[kind]
    study = uid()
    save_series(tmp_path / "a", study=study, **({"description": "T2", "number": 3} | tags))
    save_series(tmp_path / "b", study=study, **HRT2)

    found = find_series(tmp_path)

    assert [case.stack.traits.number for case in found.cases] == [6]
    chosen, other = found.lines
    assert chosen.startswith(
        "chosen: series 6 'AX CISS 0.6': T2-weighted (TE 120 ms), 3D, 8 slices of 1.50 mm, "
        "pixels of 1.00 x 1.00 mm, field of 72 x 64 x 12 mm"
    )
    assert other.startswith("not chosen: series 3 ")
    assert reason in other


BETTER = {
    "by name and times": ({"EchoTime": "80"}, {"EchoTime": None, "RepetitionTime": None}),
    "original": ({}, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}),
    "without agent": ({}, {"ContrastBolusAgent": "Gd"}),
    "for ears": ({"description": "T2 IAC"}, {"description": "T2 brain"}),
    "finer": ({"spacing": (0.9, 0.9, 1.5)}, {}),
}


@pytest.mark.parametrize("kind", BETTER)
def test_of_two_that_fit_the_better_is_chosen(tmp_path, kind):
    better, worse = BETTER[kind]
    study = uid()
    save_series(tmp_path / "a", study=study, **({"number": 2, "description": "T2"} | worse))
    save_series(tmp_path / "b", study=study, **({"number": 9, "description": "T2"} | better))

    found = find_series(tmp_path)

    assert found.cases[0].stack.traits.number == 9
    assert "not chosen: series 2 " in found.lines[1]
    assert "less fitting" in found.lines[1]


def test_balanced_steady_state_is_t2_without_a_name(tmp_path):
    tags = {"ScanningSequence": "GR", "SequenceVariant": ["SK", "SS"], "EchoTime": "3"}
    save_series(tmp_path, description="ears", **tags)
    assert "T2-weighted (balanced steady state)" in find_series(tmp_path).lines[0]


def test_a_series_that_states_nothing_of_its_weighting_is_taken_and_told(tmp_path):
    nothing = {"ScanningSequence": "", "EchoTime": None, "RepetitionTime": None}
    save_series(tmp_path, description="", **nothing)
    assert "weighting not stated" in find_series(tmp_path).lines[0]


def test_sagittal_and_coronal_fields_are_judged_in_the_patient(tmp_path):
    study = uid()
    save_series(tmp_path / "cor", head(12), axes=PLANES["coronal"], study=study, number=4)
    save_series(tmp_path / "sag", head(12), axes=PLANES["sagittal"], study=study, number=5)

    found = find_series(tmp_path)

    assert found.cases[0].stack.traits.number == 4
    assert "field of 72 x 18 x 64 mm" in found.lines[0]
    assert "a field of 18 mm from left to right" in found.lines[1]


def test_a_series_can_be_named(tmp_path):
    study, wanted = uid(), uid()
    save_series(tmp_path / "a", study=study, series=wanted, description="AX T1", number=3)
    save_series(tmp_path / "b", study=study, **HRT2)

    found = find_series(tmp_path, wanted)

    assert found.cases[0].stack.traits.series == wanted
    assert "chosen by --series: series 3 'AX T1'" in found.lines[0]
    assert "it would not have been chosen" in found.lines[0]
    with pytest.raises(UsageError, match=rf"holds no series 1\.2\.3; found: .*{wanted}"):
        find_series(tmp_path, "1.2.3")


def test_each_study_gives_a_case_and_one_without_hrt2_says_why(tmp_path):
    save_series(tmp_path / "a", **HRT2)
    save_series(tmp_path / "b", **HRT2)
    save_series(tmp_path / "c", description="AX T1", number=3)

    cases = find_series(tmp_path).cases

    assert sorted(case.name.rpartition("-")[0] for case in cases) == [
        "AX_CISS_0_6", "AX_CISS_0_6", "study",
    ]  # fmt: skip
    (refused,) = [case.refused for case in cases if case.refused]
    assert refused.startswith("no series of this study looks like a hrT2 scan of both ears (series")


def test_nothing_that_fits_is_refused_with_the_list(tmp_path):
    save_series(tmp_path, description="AX T1", number=3)
    with pytest.raises(UsageError, match=r"no series looks like .* series 3 'AX T1' \(2\.25\."):
        find_series(tmp_path)


def test_names_and_lines_hold_nothing_of_the_patient(tmp_path):
    save_series(tmp_path, description=f"T2 {PATIENT} doe JANE p-4711 ears")

    found = find_series(tmp_path)
    asked = find_series(tmp_path, patient_names=True)
    anonymous = find_series(tmp_path, anonymous=True)

    assert found.cases[0].name.startswith("T2_ears-")
    text = " ".join((found.cases[0].name, *found.lines)).lower()
    assert not [word for word in ("jane", "doe", "4711") if word in text]
    assert asked.cases[0].name.startswith("Doe_Jane_T2_ears-")
    assert "ears" not in " ".join(anonymous.lines)
    assert "2.25" not in " ".join(anonymous.lines)


def test_a_series_always_gets_the_same_name(tmp_path):
    series = uid()
    save_series(tmp_path / "a", series=series)
    save_series(tmp_path / "b", series=series)

    one, other = (find_series(tmp_path / folder).cases[0].name for folder in "ab")

    assert one == other
    assert one.startswith("AX_T2_CISS-")
