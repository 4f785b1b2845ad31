"""What lies in and about a tumour: every part is there because a number says so."""

import pytest

from meatus_phantom.anatomy.landmarks import draw_ears
from meatus_phantom.anatomy.tumour.peritumoural import cleft, oedema, residue, surgery
from meatus_phantom.anatomy.tumour.place import Room
from meatus_phantom.anatomy.tumour.procedural import Koos, draw_koos, plug_mm3, procedural
from meatus_phantom.anatomy.tumour.tumour import build
from meatus_phantom.anatomy.tumour.tumour_interior import bleeds, core, cysts
from meatus_phantom.random_streams import stream
from meatus_phantom.tissues import Tissue

LEFT = draw_ears(3)[0]


@pytest.fixture(scope="module")
def tumour():
    shape, box = procedural(stream(1, "shape"), Room(LEFT, 0.5), Koos(3))
    return build(shape, box, LEFT, 0.5)


def test_every_grade_beyond_the_canal_is_drawn():
    assert {draw_koos(stream(seed, "koos")) for seed in range(60)} == {
        Koos.II,
        Koos.III,
        Koos.IV,
    }


def test_a_procedural_tumour_fills_canal_and_cistern(tumour):
    assert tumour.intra_mm3 > 20
    assert tumour.extra_mm3 > 100


def test_a_plug_that_reaches_nowhere_has_no_volume():
    assert plug_mm3(lambda points: points[0] * 0 + 5, Room(LEFT, 0.5)) == 0


def test_tissue_in_the_tumour_is_of_its_own_kind(tumour):
    assert {part.tissue for part in core(stream(2, "core"), tumour, 1.0)} == {Tissue.TUMOUR_CORE}
    assert {part.tissue for part in cysts(stream(2, "cysts"), tumour)} == {Tissue.TUMOUR_CYST}
    assert bleeds(stream(2, "bleeds"), tumour)


def test_tissue_about_the_tumour_is_of_its_own_kind(tumour):
    assert {part.tissue for part in cleft(stream(2, "cleft"), tumour)} <= {Tissue.CSF}
    assert {part.tissue for part in oedema(stream(2, "oedema"), tumour)} == {Tissue.EDEMA}
    assert surgery(stream(2, "surgery"), LEFT, tumour, "retrosigmoid")


def test_a_residue_is_less_than_there_was(tumour):
    left = residue(stream(2, "residue"), tumour)

    whole = tumour.extra_mm3 + tumour.intra_mm3
    assert 0 < left.extra_mm3 + left.intra_mm3 < whole
