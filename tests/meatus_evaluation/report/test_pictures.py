import numpy as np
import pytest

from meatus.errors import UsageError
from meatus_evaluation.report.pictures import drawn_labels, find_scans
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.score import read_labels
from tests.meatus_evaluation.label_maps import save


def test_scans_are_found_beside_label_maps_whatever_their_mark(tmp_path):
    labels = save(tmp_path / "a_Label.nii.gz")
    for name in ("a_hrT2.nii.gz", "c_T2.nii.gz"):
        (tmp_path / name).touch()

    found = find_scans(tmp_path, [Pair("a", labels, None), Pair("b", labels, None)])

    assert found == {"a": tmp_path / "a_hrT2.nii.gz"}
    with pytest.raises(UsageError, match="cannot be read"):
        find_scans(tmp_path / "none", [])


def test_the_cochlea_of_2022_is_drawn_in_the_number_of_2023(tmp_path):
    file = save(tmp_path / "a.nii.gz", {1: np.s_[0, 0, 0], 2: np.s_[1, 1, 1]})

    drawn, _ = drawn_labels(file, "2022")

    assert (drawn[0, 0, 0], drawn[1, 1, 1]) == (1, 3)
    assert read_labels(file, "2022")[0][1, 1, 1] == 2
