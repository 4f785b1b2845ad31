from dataclasses import replace

import numpy as np
import pytest

from meatus.errors import OutputError
from meatus.geometry import Geometry
from meatus_phantom import tissue_maps as module
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.subject import draw_subject
from meatus_phantom.tissue_maps import (
    FULL,
    SubjectSettings,
    labelled_places,
    make_tissue_maps,
    open_map,
    render_subject,
    tissue_maps,
)
from meatus_phantom.tissues import Tissue

TUMOURS = LesionMix(none=0, both=0, canal=1, cystic=0, irradiated=0, operated=0)


def toy_map(_settings, number, _patients):
    return np.full((6, 2, 3, 4), number, np.uint8)


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr(module, "subject_map", toy_map)


def test_only_maps_that_are_missing_are_made(tmp_path, cheap):
    maps = tissue_maps(tmp_path, SubjectSettings(subjects=3), ())

    assert make_tissue_maps(maps, (), workers=1) == 3
    kept = maps.file(0).stat().st_mtime_ns
    maps.file(1).unlink()
    assert make_tissue_maps(maps, (), workers=1) == 3
    assert maps.file(0).stat().st_mtime_ns == kept

    assert [int(open_map(maps.file(number))[0, 0, 0, 0]) for number in range(3)] == [0, 1, 2]
    assert isinstance(open_map(maps.file(0)), np.memmap), "mapped from the file, not read"


def test_more_subjects_share_a_folder_and_other_recipes_do_not(tmp_path):
    one = SubjectSettings(subjects=3)
    folder = tissue_maps(tmp_path, one, ()).folder

    assert tissue_maps(tmp_path, replace(one, subjects=9), ()).folder == folder
    for other in (
        replace(one, seed=1),
        replace(one, stripped_share=0.5),
        replace(one, mix=TUMOURS),
    ):
        assert tissue_maps(tmp_path, other, ()).folder != folder


def test_a_training_does_not_go_on_with_another_number_of_subjects(tmp_path):
    one = SubjectSettings(subjects=3)

    assert (
        tissue_maps(tmp_path, one, ()).fingerprint
        != tissue_maps(tmp_path, replace(one, subjects=4), ()).fingerprint
    )


def test_a_folder_that_cannot_be_written_ends_in_one_line(tmp_path, cheap):
    (tmp_path / "taken").write_text("")

    with pytest.raises(OutputError, match="cannot be written") as raised:
        make_tissue_maps(tissue_maps(tmp_path / "taken", SubjectSettings(1), ()), (), workers=1)
    assert "\n" not in str(raised.value)


def test_a_subject_is_painted_with_shares_of_three_tissues_and_its_labels():
    subject = draw_subject(3, TUMOURS)
    x, y = (26.0 if subject.lesions.tumours[0].ear.side > 0 else -26.0), -2.0
    grid = Geometry((60, 40, 12), (0.5, 0.5, 1.0), (x - 15, y - 10, -6))

    rendered = render_subject(subject, grid)

    first, second = (rendered[row].astype(int) for row in (3, 4))
    assert (first + second <= FULL + 1).all(), "shares are rounded to the nearest"
    assert rendered[:3].max() <= max(Tissue)
    labels = rendered[-1]
    assert set(np.unique(labels)) >= {0, 2}, "a tumour in the canal"
    tumour = np.isin(rendered[0], module.TUMOURS)
    inside = np.isin(labels, (1, 2))
    overlap = 2 * (tumour & inside).sum() / (tumour.sum() + inside.sum())
    assert overlap > 0.9, "the label is where the tumour's tissue is"


def test_stripping_leaves_brain_and_tumour_and_labels_nothing_else(monkeypatch):
    monkeypatch.setattr(module, "SIZE", (40, 40, 5))
    rendered = np.zeros((6, 5, 40, 40), np.uint8)
    rendered[0], rendered[3] = Tissue.BONE, FULL
    rendered[0, :, 5:25, 5:35] = Tissue.PONS
    rendered[0, :, 10:20, 30:35] = Tissue.TUMOUR
    rendered[-1, :, 10:20, 30:35] = 1
    rendered[-1, :, 36:39, 36:39] = 3

    module._strip(rendered, 0.5)

    assert (rendered[-1, :, 10:20, 30:35] == 1).all()
    assert (rendered[0, :, 5:25, 5:30] == Tissue.PONS).all()
    assert not (rendered[-1] == 3).any()
    assert (rendered[0, :, 32:] == Tissue.AIR).all()
    assert (rendered[3, :, 32:] == FULL).all(), "all of the voxel is air"


def test_places_are_of_each_structure_that_is_there(tmp_path):
    rendered = np.zeros((6, 4, 8, 8), np.uint8)
    rendered[-1, 1, 2:4, 3], rendered[-1, 2, 5, 6] = 1, 3
    np.save(tmp_path / "map.npy", rendered)

    found = labelled_places(tmp_path / "map.npy")

    assert [places.tolist() for places in found] == [[[1, 2, 3], [1, 3, 3]], [[2, 5, 6]]]


def test_the_grid_of_a_head_holds_both_ears_near_its_middle_slices():
    subject = draw_subject(5, TUMOURS)

    grid = module._grid_about(subject, 0.0)

    pori = [module.place(np.array([ear.porus]), subject.space)[0] for ear in subject.ears]
    for x, y, z in pori:  # x left, y anterior, z up; the grid is LPS
        at = (np.array([x, -y, z]) - grid.origin_mm) / grid.spacing_mm
        assert (at > np.array([40, 40, 10])).all()
        assert (at < np.array(grid.size) - [40, 40, 10]).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"subjects": 0}, "must be positive"),
        ({"seed": -1}, "not negative"),
        ({"stripped_share": 1.5}, "within 0 and 1"),
    ],
)
def test_subjects_that_cannot_be_are_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        SubjectSettings(**changes)
