"""The checklist: what it measures has an answer on paper, and broken cohorts fail it."""

import json
import math
import shutil
from functools import partial

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.stats import norm

from meatus.geometry import Geometry
from meatus.structures import Structure
from meatus_phantom.cohort.files import write_table
from meatus_phantom.cohort.make import write_cohort
from meatus_phantom.cohort.plan import CohortSettings
from meatus_phantom.errors import PhantomError
from meatus_phantom.tissues import Tissue
from meatus_phantom.validate.checks import (
    check_cohort,
    check_koos,
    check_tumours,
    check_volumes,
    failed,
)
from meatus_phantom.validate.expected import Check, by_chance
from meatus_phantom.validate.image_quality import edge_width, noise, spectrum_slope
from meatus_phantom.validate.measures import Known, LabelMeasures, brightness, measure_labels
from tests.meatus_phantom.cohort.test_cohort import rows_of, run
from tests.meatus_phantom.scenes import GRID, label_map, scan_of, tiny_case, tissue_map

SETTINGS = CohortSettings(source=4, target=4, sites=("etz",), seed=8)
ROW = {"effect_kept_read": "1", "effect_kept_phase": "1", "effect_read_along_x": "True"}


def head(extra=1050.0, intra=230.0, cochlea=105.0, apart=74.0, side="L"):
    return LabelMeasures(extra, intra, 2 * cochlea, (cochlea, cochlea), apart, side, stray=0)


def verdicts(checks):
    return {check.name: check.verdict for check in checks}


def out_of_range(checks):
    return {check.name for check in checks if check.verdict == "OUT"}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check") / "good"
    write_cohort(folder, SETTINGS, make=tiny_case)
    return folder


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def broken(folder, change):
    write_cohort(
        folder,
        CohortSettings(source=2, target=2, sites=("etz",)),
        make=partial(tiny_case, change=change),
    )
    return out_of_range(check_cohort(folder))


def test_a_cohort_as_it_should_be_passes(good):
    checks = check_cohort(good)

    assert out_of_range(checks) == set()
    assert not failed(checks)
    measured = {check.name: check for check in checks if check.measured is not None}
    assert measured["etz hrT2 tumour / CSF"].measured == pytest.approx(0.46, rel=0.03)
    assert measured["etz ceT1 tumour / brain"].measured == pytest.approx(2.0, rel=0.03)
    assert measured["hrT2 CSF / noise"].measured == pytest.approx(45, rel=0.05)
    assert measured["hrT2 air, mean / SD"].measured == pytest.approx(1.913, rel=0.01)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("bright tumour", {"etz hrT2 tumour / CSF", "etz ceT1 tumour / brain"}),
        ("soft", {"hrT2 edge width, acquired voxels", "ceT1 edge width, acquired voxels"}),
        ("grey air", {"hrT2 air, mean / SD", "ceT1 air, mean / SD"}),
        ("same", {"duplicate scans", "duplicate label maps"}),
    ],
)
def test_a_broken_cohort_fails_at_what_is_broken(tmp_path, change, expected):
    assert expected <= broken(tmp_path / "out", change)


def test_missing_and_changed_files_are_told(copy):
    rows = rows_of(copy)
    (copy / rows[0]["scan"]).write_bytes(b"no scan")
    (copy / rows[5]["label"]).unlink()
    lines = []

    checks = {check.name: check for check in check_cohort(copy, told=lines.append)}

    assert checks["faults of files"].measured == 2
    assert any(rows[5]["label"] in line for line in lines)


def test_labels_beside_the_targets_are_told(copy):
    truth = rows_of(copy)[5]["label"]
    shutil.copy(copy / truth, copy / "crossmoda23_training" / "TrainingTarget")

    assert {"labels among the unlabelled targets", "files that cohort.csv does not name"} == (
        out_of_range(check_cohort(copy))
    )


def test_a_patient_in_two_splits_is_told(copy):
    rows = rows_of(copy)
    for row in (rows[0], rows[-1]):
        row["left_source"] = "sub-007"
    write_table(copy, rows)

    assert out_of_range(check_cohort(copy)) == {"real patients in two splits"}


@pytest.mark.parametrize("kind", ["stripped", "difficult"])
def test_heads_that_are_not_of_the_usual_mix_are_not_measured_as_heads(copy, kind):
    before = {check.name: check.count for check in check_cohort(copy)}
    rows = rows_of(copy)
    rows[-1][kind] = "True"
    write_table(copy, rows)

    after = {check.name: check.count for check in check_cohort(copy)}

    fewer = {name for name in before if after.get(name, 0) < before[name]}
    assert any("cochlea" in name for name in fewer)
    assert not any("duplicate" in name for name in fewer)


def test_the_command_ends_with_one_where_a_number_is_out(copy, tmp_path):
    rows = rows_of(copy)
    (copy / rows[0]["label"]).unlink()

    done = run("check", copy, "--json", tmp_path / "numbers.json", "--workers", 1)

    assert done.exit_code == 1
    numbers = {row["name"]: row for row in json.loads((tmp_path / "numbers.json").read_text())}
    assert numbers["faults of files"]["verdict"] == "OUT"
    assert numbers["cochleae, median mm3"]["count"] == 7


def test_the_command_draws_a_sheet_of_what_passed(good, tmp_path):
    done = run("check", good, "--contact-sheet", tmp_path / "sheet.png", "--workers", 1)

    assert (done.exit_code, done.stderr) == (0, "")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_options_by_their_former_names_are_taken_and_told(tmp_path):
    done = run("check", tmp_path, f"--sheet={tmp_path / 'sheet.png'}", "--again", 1)

    assert done.exit_code == 2  # there is no cohort
    assert done.stderr.splitlines()[:-1] == [
        "note: --sheet is now called --contact-sheet",
        "note: --again is now called --reproducibility",
    ]


def test_a_folder_without_a_cohort_is_one_line(tmp_path):
    done = run("check", tmp_path)

    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "cohort.csv" in line
    with pytest.raises(PhantomError, match="nothing could be measured"):
        failed([Check("x", None, (0, 1), (0, 1), 0)])


@pytest.mark.parametrize(
    ("heads", "name"),
    [
        ([head(extra=5000)] * 30, "extra-meatal, median mm3"),
        ([head(intra=60)] * 30, "intra-meatal, median mm3"),
        ([head(cochlea=55)] * 30, "cochleae, median mm3"),
        ([head(cochlea=55)] * 60, "cochlea a side, 5 % quantile mm3"),
        ([head(apart=60)] * 30, "cochleae apart, median mm"),
    ],
)
def test_volumes_far_from_the_challenges_are_out(heads, name):
    assert verdicts(check_volumes([head()] * 30))[name] == "ok"
    assert verdicts(check_volumes(heads))[name] == "OUT"


def test_one_sided_cohorts_are_out_but_few_cases_prove_nothing():
    def verdict(left, right):
        heads = [head(side="L")] * left + [head(side="R")] * right
        return check_tumours(heads)[-1].verdict

    assert verdict(15, 15) == "ok"
    assert verdict(30, 10) == "OUT"  # p = 0.002
    assert verdict(5, 0) == "ok"  # p = 0.06


def test_quantiles_of_tumour_volume_see_a_cohort_of_equal_tumours():
    heads = [
        head(extra=math.exp(6.9 + 1.1 * norm.ppf((n + 0.5) / 200)), intra=0, side="LR"[n % 2])
        for n in range(200)
    ]

    assert set(verdicts(check_tumours(heads)).values()) == {"ok"}
    assert "tumour, 25 % quantile mm3" in out_of_range(check_tumours([head(extra=4000)] * 200))


def test_few_cases_allow_more_by_the_known_spread_of_the_quantity():
    # 1.96 * 1.2533 * 0.2 / sqrt(4) = 0.24565; exp of it is 1.2785.
    low, high = by_chance((1.0, 2.0), spread=0.2, count=4)
    assert (low, high) == (pytest.approx(1 / 1.2785, rel=1e-4), pytest.approx(2.557, rel=1e-4))

    assert Check("x", 0.9, (1, 2), (low, high), 4).verdict == "within chance"
    assert Check("x", 0.9, (1, 2), by_chance((1, 2), 0.2, 400), 400).verdict == "OUT"


def test_the_share_in_the_canal_is_judged_by_grade():
    class Koos:
        def __init__(self, grade, intra):
            self.row = {"left_koos": "", "right_koos": grade}
            self.labels = head(extra=1000 - intra, intra=intra)

    cases = [Koos("I", 950), Koos("II", 480)] * 10 + [Koos("IV", 500)] * 10
    found = verdicts(check_koos(cases))

    assert found["Koos I, share in the canal"] == found["Koos II, share in the canal"] == "ok"
    assert found["Koos III, share in the canal"] == "not measured"
    assert found["Koos IV, share in the canal"] == "OUT"


def test_labels_are_measured_in_millimetres():
    grid = Geometry((100, 40, 10), (1.0, 0.5, 2.0), (-49.5, 0.0, 0.0))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[4:6, 10:14, 10:14] = labels[4:6, 10:14, 86:90] = Structure.COCHLEA  # 32 voxels a side
    labels[5, 20:24, 70:74] = Structure.EXTRA_MEATAL
    labels[5, 20:24, 74:76] = Structure.INTRA_MEATAL

    measured = measure_labels(labels, grid)

    assert measured.cochleae_mm3 == (32.0, 32.0)
    assert (measured.extra_mm3, measured.intra_mm3, measured.cochlea_mm3) == (16.0, 8.0, 64.0)
    assert measured.apart_mm == pytest.approx(76.0)
    assert measured.side == "L"  # x runs to the patient's left


def test_a_cochlea_at_the_scans_end_is_not_whole():
    labels = label_map(1, 1280)
    cut = labels[5:]

    assert len(measure_labels(labels, GRID).cochleae_mm3) == 2
    measured = measure_labels(cut, GRID.crop((0, 0, 5), (128, 128, 7)))
    assert (measured.cochleae_mm3, measured.apart_mm) == ((), None)


def test_brightness_is_the_median_inside_a_tissue_and_leaves_hidden_faces_out():
    tissues = np.full(GRID.shape, Tissue.FAT, dtype=np.uint8)
    voxels = np.full(GRID.shape, 100, dtype=np.float32)
    voxels[:, :36] = 900  # the front, y -90 to -37.5 mm
    plain = Known(voxels, tissues, GRID, ROW)
    hidden = Known(voxels, tissues, GRID, ROW | {"deface_front_mm": "40"})

    assert brightness(plain) == {"fat": 100}
    assert plain.visible().all()
    assert not hidden.visible()[:, :36].any()
    assert voxels[hidden.visible()].max() == 100


@pytest.mark.parametrize("width", [3, 5])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_width_of_a_box_blurred_edge_is_the_boxs(width, axis):
    tissues = np.full((6, 60, 60), Tissue.PONS, dtype=np.uint8)
    tissues[:, :, 31:] = Tissue.CSF
    voxels = np.where(tissues == Tissue.CSF, 1000, 300).astype(np.float32)
    voxels = uniform_filter1d(voxels, width, axis=2)
    if axis == 1:
        tissues, voxels = tissues.swapaxes(1, 2), voxels.swapaxes(1, 2)
    grid = Geometry((60, 60, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    row = ROW | {"effect_kept_read": "0.8" if axis == 0 else "1", "effect_kept_phase": "0.5"}

    found = edge_width(Known(voxels, tissues, grid, row))

    assert found == pytest.approx(width * (0.8 if axis == 0 else 0.5), rel=0.02)


def test_noise_is_measured_in_air_and_in_csf():
    tissues = tissue_map(1, 1280)
    scan = scan_of(tissues, "hrT2", seed=1).astype(np.float32)

    found = noise(Known(scan, tissues, GRID, ROW))

    assert found.sd == pytest.approx(400 / 45, rel=0.02)
    assert found.air_ratio == pytest.approx(1.913, rel=0.02)
    assert found.csf_ratio == pytest.approx(1.0, abs=0.1)
    assert found.csf_sd == pytest.approx(found.sd, rel=0.1)
    head_everywhere = np.full(GRID.shape, Tissue.PONS, dtype=np.uint8)
    assert noise(Known(scan, head_everywhere, GRID, ROW)) is None


def test_csf_with_a_texture_of_its_own_is_seen():
    tissues = tissue_map(1, 1280)
    scan = scan_of(tissues, "hrT2", seed=1).astype(np.float32)
    scan[tissues == Tissue.CSF] += np.random.default_rng(0).normal(
        0, 20, int((tissues == Tissue.CSF).sum())
    )

    found = noise(Known(scan, tissues, GRID, ROW))

    # sqrt(20^2 + 8.9^2) / 8.9 = 2.46
    assert found.csf_ratio == pytest.approx(2.46, rel=0.07)


def test_the_slope_of_a_power_law_is_its_exponent():
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(256, 0.5)[:, None], np.fft.fftfreq(256, 0.5)[None])
    frequency[0, 0] = 1.0
    spectra = np.fft.fft2(rng.normal(0, 1, (8, 256, 256))) * frequency**-1.5
    pictures = np.fft.ifft2(spectra).real.astype(np.float32)

    assert spectrum_slope(pictures, (0.5, 0.5)) == pytest.approx(-3.0, abs=0.15)
    white = rng.normal(0, 1, (8, 256, 256)).astype(np.float32)
    assert spectrum_slope(white, (0.5, 0.5)) == pytest.approx(0.0, abs=0.15)
