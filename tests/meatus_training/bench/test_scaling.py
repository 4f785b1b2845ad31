import json

import pytest
from PIL import Image

from meatus_training.bench.scaling import (
    MIB,
    Growth,
    Point,
    fit_line,
    fits_in_words,
    memory_by_scan,
    seconds_by_slices,
    write_growth,
)


def point(slices, side):
    """2 s and 0.5 s a slice; 300 MiB and three times the scan."""
    scan_mib = slices * side * side * 4 / MIB
    return Point((slices, side, side), 2 + 0.5 * slices, 1.0, 300 + 3 * scan_mib)


GROWTH = Growth(
    "a processor",
    "fast",
    tuple(point(slices, 64) for slices in (20, 40, 80)),
    tuple(point(80, side) for side in (64, 128)),
)


def test_a_line_is_found_with_what_departs_from_it_most():
    straight = fit_line([1, 2, 3], [5.0, 7.0, 9.0])
    bent = fit_line([1, 2, 3], [1.0, 4.0, 1.0])  # fitted: 2 everywhere

    assert (straight.start, straight.slope) == pytest.approx((3, 2))
    assert straight.departure == pytest.approx(0, abs=1e-9)
    assert bent.departure == pytest.approx(1)


def test_seconds_are_fitted_by_slices_and_memory_by_the_size_of_the_scan():
    seconds, memory = seconds_by_slices(GROWTH), memory_by_scan(GROWTH)

    assert (seconds.start, seconds.slope) == pytest.approx((2, 0.5))
    assert (memory.start, memory.slope) == pytest.approx((300, 3))
    assert "2.00 + 0.5000 a slice" in fits_in_words(GROWTH)[0]
    assert "300 + 3.0 for each MiB" in fits_in_words(GROWTH)[1]


def test_the_picture_and_its_numbers_are_written(tmp_path):
    write_growth(tmp_path / "docs", GROWTH)

    with Image.open(tmp_path / "docs" / "speed.png") as picture:
        assert picture.size == (1200, 380)
        assert len(set(picture.convert("L").tobytes())) > 10
    stored = json.loads((tmp_path / "docs" / "speed.json").read_text())
    assert stored["by_slices"][1]["shape"] == [40, 64, 64]
