"""Phantoms that are painted while networks train."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.segmentation_runs import TINY
from training.dataset import Sample
from training.errors import TrainingError
from training.phantom.draws import stream
from training.phantom.stream import StreamSettings, _draw_scan, is_unusual
from training.segmentation.painted import PaintedScans, canvas_for
from training.segmentation.painters import paint_ahead
from training.segmentation.settings import PhantomSource

CPU = torch.device("cpu")
HOW = TINY.phantoms.prepare


@pytest.fixture
def canvas(tmp_path, monkeypatch):
    def paint(_settings, number, _patients, _device):
        labels = np.full((4, 8, 8), number % 4, np.uint8)
        return Sample(labels.astype(np.float16), labels)

    monkeypatch.setattr("training.segmentation.painted.paint_sample", paint)
    return canvas_for(tmp_path, TINY, HOW, ())


def test_each_scan_is_painted_once_and_counts_when_it_is_whole(canvas):
    assert canvas.painted() == []

    assert canvas.paint(7, CPU)
    assert not canvas.paint(7, CPU)

    assert canvas.painted() == ["000007"]
    canvas.item("000007").labels.unlink()
    assert canvas.painted() == [], "voxels alone are not a scan"


def test_scans_painted_ahead_are_those_that_a_training_finds(canvas, tmp_path):
    assert paint_ahead(canvas, 3, painters=1) == 3
    assert paint_ahead(canvas, 5, painters=1) == 2, "what is there stays"

    assert len(canvas_for(tmp_path, TINY, HOW, ()).painted()) == 5


def test_to_paint_on_a_gpu_that_is_not_there_ends_in_one_line(canvas, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(TrainingError, match="no CUDA device; pass --paint-on cpu"):
        paint_ahead(canvas, 1, painters=1, device="cuda")


def test_windows_come_from_all_scans_that_are_there_the_latest_too(canvas):
    scans = PaintedScans(canvas, seed=3)
    for number in (1, 2):
        canvas.paint(number, CPU)

    early = {int(scans.scan(number).labels[0, 0, 0]) for number in range(40)}
    canvas.paint(3, CPU)
    late = {int(scans.scan(number).labels[0, 0, 0]) for number in range(40)}

    assert (early, late) == ({1, 2}, {1, 2, 3})


def test_no_painter_at_all_ends_in_one_line(canvas):
    with pytest.raises(TrainingError, match="no scan in 0 s; start the command with more"):
        PaintedScans(canvas, patience_s=0.0).scan(0)


def test_other_recipes_fill_other_folders(tmp_path, canvas):
    other = replace(TINY, phantoms=PhantomSource(unusual_share=0.5))

    assert canvas_for(tmp_path, TINY, HOW, ()).folder == canvas.folder
    assert canvas_for(tmp_path, other, HOW, ()).folder != canvas.folder


def test_unusual_scans_are_coronal_or_of_thick_slices_as_often_as_asked():
    some = StreamSettings(HOW.spec(), sites=("etz",), unusual_share=0.5)

    drawn = [_draw_scan(some, stream(0, "stream", number))[0] for number in range(60)]

    unusual = [is_unusual(setup.geometry) for setup in drawn]
    assert {setup.site for setup in drawn} == {"etz", "ukm"}
    assert [setup.site == "ukm" for setup in drawn] == unusual, "Tilburg has no such grids"
    assert 15 <= sum(unusual) <= 45
