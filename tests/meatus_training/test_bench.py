import numpy as np
import torch

from meatus.geometry import Geometry
from meatus.io.images import read_scan
from meatus_phantom.generate import Case
from meatus_training.bench import WIDTH, widened, write_scan
from meatus_training.export.agreement import probabilities
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d
from tests.meatus.specs import make_spec


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


def test_the_scan_that_is_timed_has_the_stated_grid(tmp_path):
    grid = Geometry((50, 60, 9), (3.0, 3.0, 4.0), (-75.0, -90.0, -16.0))
    ramp = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    case = Case(ramp, np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8), grid, {})

    write_scan(tmp_path / "scan.nii.gz", case, (10, 64, 80), (2.0, 2.5, 3.0))

    scan = read_scan(tmp_path / "scan.nii.gz")

    assert scan.voxels.shape == (10, 64, 80)
    assert scan.geometry.spacing_mm == (2.0, 2.5, 3.0)
    assert np.ptp(scan.voxels) > 100
