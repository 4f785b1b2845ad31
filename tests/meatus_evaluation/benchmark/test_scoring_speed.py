import numpy as np

from meatus_evaluation.benchmark.scoring_speed import GRID, Times, large_case


def test_the_timed_case_is_large_and_holds_every_structure():
    labels = large_case()

    assert labels.shape == GRID.shape == (80, 448, 448)
    tumour_mm3, cochlea_mm3 = (
        np.count_nonzero(np.isin(labels, wanted)) * GRID.voxel_mm3 for wanted in ((1, 2), (3,))
    )
    assert 10_000 < tumour_mm3 < 20_000
    assert 200 < cochlea_mm3 < 500


def test_the_lines_compare_both_tools():
    lines = "\n".join(Times(ours_s=0.5, medpy_s=20, largest_difference=0).lines())

    assert "from the files: 0.50 s" in lines
    assert "20.00 s (40 times)" in lines
