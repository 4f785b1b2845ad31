"""Numbers by hand: voxels of 0.5 x 0.5 x 1.5 mm are 0.375 mm3 each."""

import json
import math
from datetime import date

import numpy as np
import pytest

from meatus.errors import UsageError
from meatus.geometry import Geometry
from meatus.volumes import Labels
from meatus_evaluation.studies.growth import (
    TimePoint,
    diameter_sd_mm,
    exposed_faces,
    growth,
    judge,
    read_tumour,
    surface_mm2,
    time_point,
    volume_sd_mm3,
    years_between,
)
from tests.meatus_evaluation.label_maps import (
    GRID,
    ends_in_one_line,
    run,
    save,
    save_damaged,
    save_value,
)

# A tumour of 40 extra-meatal voxels, 5 x 4 in the slice, and 20 intra-meatal ones.
EARLIER = {1: np.s_[1:3, 5:10, 5:9], 2: np.s_[1:3, 5:10, 9:11]}
COARSE = Geometry((20, 16, 6), (1.0, 1.0, 2.0), (-3, -3, 0))
# 80 voxels of 2 mm3, 5 x 4 mm in each of four slices.
LATER = {1: np.s_[1:5, 4:9, 4:8]}


def point(volume, diameter, volume_sd=0.0, diameter_sd=0.0):
    return TimePoint(volume, volume_sd, diameter, diameter_sd, "left")


def test_two_label_maps_on_different_grids_are_measured_as_on_paper(tmp_path):
    """2.5 x 2 mm in the slice: sqrt(10.25); 5 x 4 mm: sqrt(41)."""
    points = [
        time_point(read_tumour(save(tmp_path / name, boxes, grid)))
        for name, boxes, grid in (("a.nii.gz", EARLIER, GRID), ("b.mha", LATER, COARSE))
    ]

    found = growth(*points, years=2.0)

    assert found.earlier.volume_mm3 == pytest.approx(60 * 0.375)
    assert found.later.volume_mm3 == pytest.approx(80 * 2.0)
    assert found.earlier.diameter_mm == pytest.approx(math.sqrt(10.25))
    assert found.later.diameter_mm == pytest.approx(math.sqrt(41))
    assert found.volume_mm3.per_year == pytest.approx((160 - 22.5) / 2)
    assert found.volume_share.value == pytest.approx(160 / 22.5 - 1)
    assert found.diameter_mm.value == pytest.approx(math.sqrt(41) - math.sqrt(10.25))
    assert found.diameter_mm.verdict == "growth"
    assert found.verdict == "growth"


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        ((100, 10), "stable"),
        ((120, 12), "stable"),  # on both thresholds, not beyond them
        ((121, 10), "growth"),
        ((100, 12.1), "growth"),
        ((121, 7), "growth"),  # one sign of growth is enough
        ((79, 10), "shrinkage"),
        ((100, 7.9), "shrinkage"),
        ((0, 0), "tumour gone"),
    ],
)
def test_more_than_a_fifth_of_the_volume_or_2_mm_is_growth(later, verdict):
    assert growth(point(100, 10), point(*later), None).verdict == verdict


def test_a_change_that_only_rounding_lifts_above_the_threshold_is_none():
    assert judge(2.0 + 1e-13, 2.0) == "stable"
    assert judge(-2.0 - 1e-13, 2.0) == "stable"


def test_a_tumour_may_appear_or_never_be_there():
    none, small = point(0, 0), point(50, 4)

    appeared = growth(none, small, 1.0)
    assert (appeared.verdict, appeared.volume_share) == ("new tumour", None)
    assert appeared.volume_mm3.per_year == 50
    assert growth(none, none, None).verdict == "no tumour"


def test_an_interval_that_reaches_over_the_threshold_makes_the_verdict_uncertain():
    """30 % more, 3 %: 95 % from 24.2; 22 % more: from 16.2, below the threshold."""
    sure = growth(point(100, 10, 1, 0), point(130, 10, 2.7, 0), None)
    unsure = growth(point(100, 10, 1, 0), point(122, 10, 2.7, 0), None)

    spread = 1.96 * 1.3 * math.hypot(0.01, 2.7 / 130)
    assert sure.volume_share.low == pytest.approx(0.3 - spread)
    assert (sure.verdict, sure.certain) == ("growth", True)
    assert (unsure.verdict, unsure.certain) == ("growth", False)


def test_years_are_of_365_and_a_quarter_days():
    assert years_between(date(2020, 1, 1), date(2024, 1, 1)) == 4
    with pytest.raises(UsageError, match="is not after"):
        years_between(date(2024, 1, 1), date(2024, 1, 1))


def test_the_spread_of_a_voxel_is_as_computed_on_paper():
    """One voxel of 0.375 mm3 has 6 faces: 2/3 of 2 (0.25 + 0.75 + 0.75) mm2 of surface."""
    voxel = np.zeros((3, 3, 3), dtype=bool)
    voxel[1, 1, 1] = True

    assert exposed_faces(voxel) == (2, 2, 2)
    assert surface_mm2(voxel, GRID) == pytest.approx(2 / 3 * 2 * 1.75)
    grid_alone = volume_sd_mm3(voxel, GRID, boundary_sd_mm=0)
    assert grid_alone == pytest.approx(0.375 * math.sqrt(6 / 12))
    assert volume_sd_mm3(np.zeros((3, 3, 3), dtype=bool), GRID) == 0


def ball(radius_mm, shift_mm, grid):
    z, y, x = (
        (np.arange(n) - (n - 1) / 2) * mm
        for n, mm in zip(grid.shape, grid.spacing_mm[::-1], strict=True)
    )
    inside = (x - shift_mm[0]) ** 2 + (y[:, None] - shift_mm[1]) ** 2
    return inside[None] + (z[:, None, None] - shift_mm[2]) ** 2 <= radius_mm**2


def test_the_area_of_a_ball_comes_out_of_its_staircase():
    grid = Geometry((60, 60, 40), (0.4, 0.4, 0.6), (0, 0, 0))

    area = surface_mm2(ball(9, (0, 0, 0), grid), grid)

    assert area == pytest.approx(4 * math.pi * 81, rel=0.03)


def test_balls_laid_anywhere_on_the_grid_scatter_as_told():
    """The grid's part of the uncertainty, against 200 positions of one ball of 4 mm."""
    grid = Geometry((24, 24, 12), (0.5, 0.5, 1.5), (0, 0, 0))
    rng = np.random.default_rng(0)
    balls = [ball(4, rng.uniform(-0.5, 0.5, 3) * grid.spacing_mm, grid) for _ in range(200)]
    seen_mm3 = np.std([mask.sum() * grid.voxel_mm3 for mask in balls])
    told_mm3 = volume_sd_mm3(balls[0], grid, boundary_sd_mm=0)

    truth_mm3 = 4 / 3 * math.pi * 64
    assert np.mean([mask.sum() for mask in balls]) * 0.375 == pytest.approx(truth_mm3, rel=0.01)
    assert seen_mm3 < 1.5 * told_mm3
    assert told_mm3 < 3 * seen_mm3


def test_a_diameters_spread_is_as_computed_on_paper():
    """sqrt(2 * 0.5^2 / 12 + (2 * 0.1)^2 + (1.5^2 / (sqrt(20) * 10))^2)"""
    expected = math.sqrt(0.25 / 6 + 0.04 + (2.25 / (math.sqrt(20) * 10)) ** 2)

    assert diameter_sd_mm(10, (0.5, 0.5, 1.5), 0.1) == pytest.approx(expected)
    assert diameter_sd_mm(0, (0.5, 0.5, 1.5)) == 0


def test_the_command_prints_both_points_and_the_verdict(tmp_path):
    earlier = save(tmp_path / "a.nii.gz", EARLIER)
    later = save(tmp_path / "b.nii.gz", LATER, COARSE)
    numbers = tmp_path / "growth.json"

    done = run(
        "growth", earlier, later, "--dates", "2020-01-01", "2022-01-01", "--json", numbers
    )  # fmt: skip

    assert (done.exit_code, done.stderr) == (0, "")
    assert "verdict: growth" in done.stdout
    assert "not for clinical use" in done.stdout
    found = json.loads(numbers.read_text())
    assert found["years"] == pytest.approx(731 / 365.25)
    assert found["volume_mm3"]["per_year"] == pytest.approx(137.5 / (731 / 365.25))


def test_without_dates_there_is_no_change_per_year(tmp_path):
    same = save(tmp_path / "a.nii.gz", EARLIER)

    done = run("growth", same, same)

    assert done.exit_code == 0
    assert "no dates given" in done.stdout
    assert "verdict: stable" in done.stdout


def test_maps_that_cannot_be_measured_end_in_one_line_each(tmp_path):
    good = save(tmp_path / "a.nii.gz", EARLIER)
    halves = save_value(tmp_path / "halves.mha", 0.5)
    damaged = save_damaged(tmp_path / "damaged.nii.gz")
    dates = ("--dates", "2022-01-01", "2020-01-01")

    assert ends_in_one_line(run("growth", good, halves), 2, "halves.mha: holds 0.5 in ")
    assert ends_in_one_line(run("growth", damaged, good), 2, "damaged.nii.gz: ")
    assert ends_in_one_line(run("growth", good, tmp_path / "none.nii"), 2, "none.nii")
    assert ends_in_one_line(run("growth", good, good, *dates), 2, "is not after", "first")


def test_an_oblique_map_is_measured_in_its_own_millimetres():
    cos, sin = math.cos(0.3), math.sin(0.3)
    turned = Geometry(GRID.size, GRID.spacing_mm, (1, 2, 3), (cos, -sin, 0, sin, cos, 0, 0, 0, 1))
    voxels = np.zeros(GRID.shape, dtype=np.uint8)
    voxels[EARLIER[1]] = 1

    found = time_point(Labels(voxels, turned))

    assert found.volume_mm3 == pytest.approx(40 * 0.375)
    assert found.diameter_mm == pytest.approx(math.sqrt(10.25))
