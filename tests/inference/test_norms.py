import numpy as np

from inference.engines.openvino_cpu import OpenVinoEngine
from tests.inference.onnx_files import tiny_spec, write_norm


def test_a_large_mostly_black_window_is_normalised_exactly(tmp_path):
    """Against float64. OpenVINO's own sums are off by 0.06 here."""
    spec = tiny_spec()  # says that the graph ends in a softmax, so the norm itself comes out
    engine = OpenVinoEngine(
        write_norm(tmp_path / "norm.onnx", spec), spec, threads=1, precision="f32"
    )
    window = np.full((40, 192, 192), -1, dtype=np.float32)
    window[:, 60:130, 60:130] = np.random.default_rng(0).normal(size=(40, 70, 70))

    found = engine(window)

    exact = window.astype(np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
    assert np.abs(found[0] - exact).max() < 2e-4
