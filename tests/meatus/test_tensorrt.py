"""TensorRT's half precision is checked on the first window of a new engine.

The runtime is a stand-in: no test has a GPU.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from meatus.engines import onnx_runtime
from meatus.engines.onnx_runtime import (
    INPUT,
    MOST_MOVED,
    OUTPUT,
    OnnxRuntimeEngine,
    moved_share,
)
from tests.meatus.specs import make_spec

WINDOW = np.zeros((4, 32, 32), np.float32)


def scores(moved):
    """Of (4, Z, Y, X): 1000 voxels of the cochlea, of which ``moved`` are called background."""
    labels = np.zeros(WINDOW.size, int)
    labels[moved:1000] = 3
    return np.eye(4, dtype=np.float32)[labels].T.reshape(4, *WINDOW.shape)


class Runtime:
    """ONNX Runtime whose TensorRT moves ``moved`` voxels in half precision."""

    def __init__(self, moved):
        self.moved, self.built = moved, []

    def SessionOptions(self):  # noqa: N802
        return SimpleNamespace()

    def InferenceSession(self, path, options, providers, enable_fallback=1):  # noqa: N802
        first = providers[0]
        half = not isinstance(first, str) and first[1]["trt_fp16_enable"] == "True"
        self.built.append(first if isinstance(first, str) else ("fp16" if half else "fp32"))
        if not isinstance(first, str) and (folder := first[1].get("trt_engine_cache_path")):
            (onnx_runtime.Path(folder) / "built.engine").touch()
        return SimpleNamespace(
            get_providers=lambda: [one if isinstance(one, str) else one[0] for one in providers],
            get_inputs=lambda: [SimpleNamespace(name=INPUT)],
            get_outputs=lambda: [SimpleNamespace(name=OUTPUT, shape=[1, 4])],
            run=lambda *_: [scores(self.moved if half else 0)[None]],
        )


@pytest.fixture
def engine(monkeypatch, tmp_path):
    said = []

    def make(moved, cache=tmp_path):
        runtime = Runtime(moved)
        monkeypatch.setattr(onnx_runtime, "onnxruntime_module", lambda: runtime)
        made = OnnxRuntimeEngine(
            tmp_path / "a.onnx", make_spec(), "tensorrt", threads=1, cache=cache, say=said.append
        )
        return made, runtime.built, said

    return make


def test_half_precision_that_moves_few_labels_is_kept(engine):
    made, built, _ = engine(moved=6)

    found = made(WINDOW)
    made(WINDOW)

    assert moved_share(found, scores(0)) == MOST_MOVED
    assert built[-2:] == ["fp16", "CPUExecutionProvider"]  # asked once, not for each window
    assert made.name.endswith("fp16")


@pytest.mark.parametrize("cached", [True, False])
def test_half_precision_that_moves_labels_gives_way_to_float32(engine, tmp_path, cached):
    made, built, said = engine(moved=7, cache=tmp_path if cached else None)

    found = made(WINDOW)

    np.testing.assert_array_equal(found, scores(0))
    assert built[-1] == "fp32"
    assert made.name.endswith("fp32")
    assert any("fp16 moves 0.7% of the labels" in line for line in said)


def test_the_next_start_takes_the_engine_in_float32_at_once(engine):
    made, _, _ = engine(moved=7)
    made(WINDOW)

    again, built, _ = engine(moved=7)
    again(WINDOW)

    assert "CPUExecutionProvider" not in built
    assert built[-1] == "fp32"


def test_an_engine_from_the_cache_was_checked_when_it_was_built(engine):
    made, _, _ = engine(moved=0)
    made(WINDOW)

    again, built, _ = engine(moved=0)
    again(WINDOW)

    assert "CPUExecutionProvider" not in built


def test_an_engine_that_was_built_and_never_used_is_checked_by_the_next_start(engine):
    engine(moved=7)

    made, built, _ = engine(moved=7)
    made(WINDOW)

    assert built[-1] == "fp32"


def test_two_outputs_without_a_structure_agree():
    assert moved_share(scores(1000), scores(1000)) == 0
