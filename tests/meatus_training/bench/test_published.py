from types import SimpleNamespace

import numpy as np
import pytest
import torch

from meatus.ensemble import EIGHT_FLIPS, Model
from meatus.geometry import Geometry
from meatus.io.images import read_scan
from meatus.weights import find_networks, read_spec
from meatus_evaluation.benchmark.children import ChildFailedError
from meatus_phantom.generate import Case
from meatus_training.bench import published
from meatus_training.bench.jobs import Row, time_job, write_scan
from meatus_training.bench.published import WIDTH, other_rows, torch_pass, widened, write_network
from meatus_training.errors import TrainingError
from meatus_training.export.agreement import probabilities
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d
from tests.meatus.specs import make_spec
from tests.meatus.tiny_runs import write_weights


def test_the_widened_network_computes_what_the_narrow_one_does(tmp_path):
    torch.manual_seed(0)
    narrow = ResUNet25d(4, 2)
    spec = make_spec(width=4, blocks=2)
    export_onnx(narrow, spec, tmp_path / "narrow.onnx")
    window = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32)).astype(np.float32)

    wide = widened(tmp_path / "narrow.onnx", spec)

    assert wide.width == WIDTH
    np.testing.assert_allclose(
        probabilities(wide, window), probabilities(narrow, window), atol=1e-5
    )


def test_the_network_of_the_published_works_width_is_timed_with_all_eight_flips(tmp_path):
    of_two_sides = make_spec(width=4, blocks=2, flips="left-right")
    export_onnx(ResUNet25d(4, 2), of_two_sides, tmp_path / "narrow.onnx")

    wide = write_network(tmp_path / "wide.onnx", of_two_sides, tmp_path / "narrow.onnx")

    assert Model((), read_spec(wide), "full").flips == EIGHT_FLIPS


def test_the_scan_that_is_timed_has_the_stated_grid(tmp_path):
    grid = Geometry((50, 60, 9), (3.0, 3.0, 4.0), (-75.0, -90.0, -16.0))
    ramp = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    case = Case(ramp, np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8), grid, {})

    write_scan(tmp_path / "scan.nii.gz", case, (10, 64, 80), (2.0, 2.5, 3.0))

    scan = read_scan(tmp_path / "scan.nii.gz")

    assert scan.voxels.shape == (10, 64, 80)
    assert scan.geometry.spacing_mm == (2.0, 2.5, 3.0)
    assert np.ptp(scan.voxels) > 100


def test_pytorchs_first_pass_does_not_count(monkeypatch):
    """A clock that says 100 s for it, then 2 s for each."""
    ticks = iter([0, 100, 100, 102, 102, 104])
    monkeypatch.setattr(published.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(published, "PUBLISHED_WINDOW", (4, 32, 32))
    monkeypatch.setattr(published, "WIDTH", 2)

    assert torch_pass(2) == 2


def test_a_job_that_fails_ends_in_its_own_line(tmp_path):
    with pytest.raises(ChildFailedError, match=r"^the job: .* holds no manifest\.json"):
        time_job("the job", tmp_path / "none.nii.gz", tmp_path, "fast", 1)


def test_a_program_that_is_not_installed_is_named_and_the_others_have_their_row(monkeypatch):
    def program(name, missing):
        return SimpleNamespace(missing=lambda: missing, told=lambda: name)

    programs = (program("absent", "absent is not installed"), program("present", ""))
    monkeypatch.setattr(published, "OTHERS", programs)
    monkeypatch.setattr(published, "time_program", lambda *_: (4.0, 12))
    said = []

    rows = other_rows(0.5, said.append)

    assert rows == [Row("present: 12 passes", 4.0, None, None, 16 * 0.5 / 4.0)]
    assert said[0] == "absent is not installed"


def test_without_nncf_the_wide_network_stays_float_and_the_reason_is_told(tmp_path, monkeypatch):
    def lacking(*_):
        raise TrainingError("int8 needs NNCF: pip install nncf")

    monkeypatch.setattr(published, "read_scan", lambda _file: None)
    monkeypatch.setattr(published, "windows_of", lambda _scans, _spec: [])
    monkeypatch.setattr(published, "write_with_int8", lacking)
    said = []

    published.add_int8(tmp_path / "wide.onnx", make_spec(), tmp_path / "scan.nii.gz", said.append)

    assert said == ["width 32 without int8: int8 needs NNCF: pip install nncf"]


def test_a_set_holds_copies_of_its_members(tmp_path):
    one = write_weights(tmp_path) / "a.onnx"

    made = published.write_set(tmp_path / "set", one, None)

    assert [file.name for file, _ in find_networks(made).members] == ["a.onnx"]
