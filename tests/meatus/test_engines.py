"""The runtimes give the same answers, whatever comes in and wherever they run."""

import base64
import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest

from meatus.engines import devices, load_engine
from meatus.engines.onnx_runtime import OnnxRuntimeEngine, _explained, tensorrt_settings
from meatus.engines.openvino_cpu import (
    GRAPH,
    INT8_KEY,
    NUMBERS,
    OpenVinoEngine,
    fastest_precision,
    int8_network,
    openvino_core,
    openvino_module,
    processor_instructions,
)
from meatus.errors import DeviceError, WeightsError
from tests.meatus.onnx_files import tiny_spec, write_network

CPU_KINDS = ("openvino", "onnxruntime")
SHAPE = (4, 6, 8)


def ramp(shape=SHAPE):
    return np.linspace(-1, 1, np.prod(shape), dtype=np.float32).reshape(shape)


def expected(window, slopes=(0.0, 1.0, -1.0, 2.0), offset=0.25):
    powers = np.exp([slope * window + offset * number for number, slope in enumerate(slopes)])
    return powers / powers.sum(axis=0)


def load(path, kind, spec=None, cache=None, said=None):
    say = print if said is None else said.append
    return load_engine(path, spec or tiny_spec(), kind, threads=1, cache=cache, say=say)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_both_runtimes_give_the_probabilities_computed_by_hand(tmp_path, precision, softmax):
    spec = tiny_spec(precision=precision, softmax=softmax)
    path = write_network(tmp_path / "a.onnx", spec)
    answers = [
        OpenVinoEngine(path, spec, threads=1, precision="f32")(ramp()),
        OnnxRuntimeEngine(path, spec, "onnxruntime", threads=1)(ramp()),
    ]
    tolerance = 1e-5 if precision == "fp32" else 2e-3
    for answer in answers:
        assert answer.dtype == np.float32
        assert answer.shape == (4, *SHAPE)
        np.testing.assert_allclose(answer, expected(ramp()), atol=tolerance)
        np.testing.assert_allclose(answer.sum(axis=0), 1, atol=1e-5)
    if precision == "fp32":
        np.testing.assert_allclose(*answers, atol=1e-4)


def test_bf16_stays_near(tmp_path):
    engine = load(write_network(tmp_path / "a.onnx"), "openvino")
    np.testing.assert_allclose(engine(ramp()), expected(ramp()), atol=0.01)


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_the_same_window_gives_the_same_bytes(tmp_path, kind):
    path = write_network(tmp_path / "a.onnx")
    engine = load(path, kind)
    first, second = engine(ramp()), engine(ramp())
    assert first.tobytes() == second.tobytes() == load(path, kind)(ramp()).tobytes()
    assert first is not second


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_a_result_survives_the_next_window(tmp_path, kind):
    engine = load(write_network(tmp_path / "a.onnx"), kind)
    first = engine(ramp())
    kept = first.copy()
    engine(-ramp())
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_windows_may_change_shape_and_come_flipped(tmp_path, kind):
    engine = load(write_network(tmp_path / "a.onnx"), kind)
    for window in (ramp(), ramp((2, 8, 4)), ramp()[::-1, :, ::-1]):
        np.testing.assert_allclose(engine(window), expected(window), atol=0.01)


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_releasing_memory_changes_no_result(tmp_path, kind):
    engine = load(write_network(tmp_path / "a.onnx"), kind)
    engine.release()
    before = engine(ramp())
    engine.release()
    assert engine(ramp()).tobytes() == before.tobytes()


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_a_damaged_network_is_named(tmp_path, kind):
    path = write_network(tmp_path / "a.onnx")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        WeightsError, match=r"a\.onnx.* (cannot read this|is not a whole ONNX)"
    ) as caught:
        load(path, kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_channels_must_be_the_classes(tmp_path, kind):
    path = write_network(tmp_path / "a.onnx", slopes=(0.0, 1.0))
    with pytest.raises(WeightsError, match="channels"):
        load(path, kind)


def test_the_name_says_runtime_device_and_precision(tmp_path):
    path = write_network(tmp_path / "a.onnx")
    assert load(path, "onnxruntime").name == "ONNX Runtime CPU fp32"
    assert load(path, "openvino").name in ("OpenVINO CPU f32", "OpenVINO CPU bf16")


def test_int8_is_used_where_the_processor_is_fastest_at_it_and_bf16_where_it_has_it():
    plain = ["WINOGRAD", "FP32", "FP16", "INT8"]
    vnni, genoa = ["avx512_vnni"], ["avx512_vnni", "avx512_bf16"]
    amx = [*genoa, "amx_bf16"]
    assert fastest_precision(["BF16", *plain]) == "bf16"
    assert fastest_precision(["BF16", *plain], amx, has_int8=True) == "bf16"
    assert fastest_precision(["BF16", *plain], genoa, has_int8=True) == "int8"
    assert fastest_precision(["BF16", *plain], genoa) == "bf16"
    assert fastest_precision(plain, vnni, has_int8=True) == "int8"
    assert fastest_precision(plain, ["avx_vnni"], has_int8=True) == "int8"
    assert fastest_precision(plain, vnni) == "f32"
    assert fastest_precision(plain, has_int8=True) == "f32"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("model name\t: one\nflags\t\t: fpu avx512_vnni\nbugs\t: none\n", {"fpu", "avx512_vnni"}),
        ("Features\t: fp asimd\n", set()),
        (None, set()),
    ],
)
def test_instructions_are_what_the_processor_says(tmp_path, text, found):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)

    assert processor_instructions(tmp_path / "cpuinfo") == found


def compiles_of(engine):
    """The shapes that ``engine`` compiles for from now on."""
    shapes, compile_for = [], engine._compiled_for
    engine._compiled_for = lambda shape, model: shapes.append(shape) or compile_for(shape, model)
    return shapes


def test_a_network_is_compiled_once_for_the_window_that_was_expected(tmp_path):
    path = write_network(tmp_path / "a.onnx")
    engine = OpenVinoEngine(path, tiny_spec(), threads=1, precision="f32", first_window=SHAPE)
    compiled = compiles_of(engine)

    for _ in range(2):
        np.testing.assert_allclose(engine(ramp()), expected(ramp()), atol=1e-5)
    assert not compiled


def test_a_window_that_was_not_expected_is_answered_alike(tmp_path):
    path, other = write_network(tmp_path / "a.onnx"), (4, 8, 10)
    engine = OpenVinoEngine(path, tiny_spec(), threads=1, precision="f32", first_window=SHAPE)
    compiled = compiles_of(engine)

    for shape in (other, SHAPE):
        np.testing.assert_allclose(engine(ramp(shape)), expected(ramp(shape)), atol=1e-5)
    assert compiled == [other, SHAPE]


def with_int8(path, inner, damage=lambda packed: packed):
    """The ONNX file ``path`` with the network of ``inner`` as its int8 one."""
    graph = path.with_name(GRAPH)
    openvino_module().save_model(openvino_core().read_model(inner), graph)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in (GRAPH, NUMBERS):
            archive.write(path.with_name(name), name)
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key, entry.value = INT8_KEY, damage(base64.b64encode(packed.getvalue()).decode())
    onnx.save(model, path)
    return path


def test_the_int8_network_of_a_file_runs_where_it_is_chosen_and_nowhere_else(tmp_path):
    falling = (0.0, -1.0, 1.0, -2.0)
    inner = write_network(tmp_path / "inner.onnx", slopes=falling)
    path = with_int8(write_network(tmp_path / "a.onnx"), inner)

    chosen = OpenVinoEngine(path, tiny_spec(), threads=1, precision="int8")
    others = [
        OpenVinoEngine(path, tiny_spec(), threads=1, precision="f32"),
        OnnxRuntimeEngine(path, tiny_spec(), "onnxruntime", threads=1),
    ]

    assert chosen.name == "OpenVINO CPU int8"
    np.testing.assert_allclose(chosen(ramp()), expected(ramp(), falling), atol=2e-3)
    for engine in others:
        np.testing.assert_allclose(engine(ramp()), expected(ramp()), atol=2e-3)


def test_int8_that_is_missing_or_damaged_ends_in_one_line(tmp_path):
    plain = write_network(tmp_path / "a.onnx")
    cut = with_int8(write_network(tmp_path / "b.onnx"), plain, lambda packed: packed[:-400])

    with pytest.raises(WeightsError, match=r"a\.onnx holds no int8 network"):
        OpenVinoEngine(plain, tiny_spec(), threads=1, precision="int8")
    with pytest.raises(WeightsError, match=r"b\.onnx: its int8 network is damaged"):
        int8_network(cut)


def test_the_cache_keeps_networks_apart_and_results_equal(tmp_path):
    rising = write_network(tmp_path / "a.onnx")
    falling = write_network(tmp_path / "b.onnx", slopes=(0.0, -1.0, 1.0, -2.0))
    cache = tmp_path / "cache"
    compiled = {path: load(path, "openvino", cache=cache)(ramp()) for path in (rising, falling)}
    assert len([file for file in cache.rglob("*") if file.is_file()]) == 2
    for path, answer in compiled.items():
        assert load(path, "openvino", cache=cache)(ramp()).tobytes() == answer.tobytes()
    assert not np.allclose(compiled[rising], compiled[falling])


def test_a_damaged_cache_is_compiled_anew(tmp_path):
    path, cache = write_network(tmp_path / "a.onnx"), tmp_path / "cache"
    answer = load(path, "openvino", cache=cache)(ramp())
    (blob,) = (file for file in cache.rglob("*") if file.is_file())
    blob.write_bytes(blob.read_bytes()[:50])
    assert load(path, "openvino", cache=cache)(ramp()).tobytes() == answer.tobytes()


def test_a_cache_that_cannot_be_written_costs_one_line(tmp_path):
    path, said = write_network(tmp_path / "a.onnx"), []
    (tmp_path / "cache").write_text("a file, not a folder")
    engine = load(path, "openvino", cache=tmp_path / "cache", said=said)
    np.testing.assert_allclose(engine(ramp()), expected(ramp()), atol=0.01)
    assert said == [
        f"{tmp_path / 'cache'} cannot be written (Not a directory); going on without a cache"
    ]


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_without_a_cache_nothing_is_written(tmp_path, kind, monkeypatch):
    path = write_network(tmp_path / "a.onnx")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    load(path, kind)(ramp())
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.onnx", "here"]


def test_tensorrt_gets_one_shape_and_caches_only_where_told(tmp_path):
    settings = tensorrt_settings((40, 256, 288), None)
    assert settings["trt_profile_min_shapes"] == "window:1x1x40x256x288"
    assert settings["trt_profile_min_shapes"] == settings["trt_profile_max_shapes"]
    assert not any("cache" in name for name in settings)
    assert tensorrt_settings((1, 2, 3), tmp_path)["trt_engine_cache_path"] == str(tmp_path)


def test_running_out_of_memory_is_the_devices_fault(tmp_path):
    full = _explained(RuntimeError("CUDA failure 2: out of memory ; GPU=0\nat x"), tmp_path, "gpu")
    assert isinstance(full, DeviceError)
    assert "\n" not in str(full)


def test_a_provider_that_does_not_start_is_an_error_and_no_silent_fallback(tmp_path, monkeypatch):
    if devices._status("cuda").usable:
        pytest.skip("CUDA works on this machine")
    path = write_network(tmp_path / "a.onnx")
    with pytest.raises(DeviceError, match="CUDA"):
        OnnxRuntimeEngine(path, tiny_spec(), "cuda", threads=1)


@pytest.mark.parametrize("kind", CPU_KINDS)
def test_a_process_bound_to_one_processor_runs_without_complaint(tmp_path, kind):
    path = write_network(tmp_path / "a.onnx")
    code = f"""
import pathlib, sys
import numpy as np
from meatus.engines import load_engine, usable_threads
from meatus.weights import read_spec
path = pathlib.Path(sys.argv[1])
engine = load_engine(path, read_spec(path), {kind!r}, threads=usable_threads(),
                     cache=None, say=print)
assert usable_threads() == 1
print(engine(np.zeros({SHAPE}, np.float32))[:, 0, 0, 0].sum().round(3))
"""
    one = {min(os.sched_getaffinity(0))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: os.sched_setaffinity(0, one),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", "")


def test_importing_the_engines_imports_no_runtime():
    runtimes = "{'onnxruntime', 'openvino'}"
    code = f"import meatus.engines, sys; sys.exit(bool({runtimes} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_signals_are_survived_once_two_networks_have_gone(tmp_path):
    """OpenVINO leaves freed memory as the stack for signals, where the processor has AMX."""
    path = write_network(tmp_path / "a.onnx")
    code = f"""
import os, signal
from pathlib import Path
from meatus.engines.openvino_cpu import OpenVinoEngine
from tests.meatus.onnx_files import tiny_spec
path = Path({str(path)!r})
engines = [OpenVinoEngine(path, tiny_spec(), threads=1) for _ in range(2)]
del engines[0], engines[0]  # the first that came goes first
signal.signal(signal.SIGCHLD, lambda *_: print("survived"))
os.kill(os.getpid(), signal.SIGCHLD)
"""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
