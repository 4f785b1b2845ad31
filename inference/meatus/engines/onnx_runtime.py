"""ONNX Runtime with CUDA, TensorRT or the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meatus.engines.nvidia import check_gpu, read_driver
from meatus.engines.protocol import Engine, Resources, Runtime, softmax
from meatus.errors import DeviceError, InferenceError, WeightsError
from meatus.geometry import Array
from meatus.io.stderr import silent_stderr
from meatus.spec import Spec

OrtKind = Literal["onnxruntime", "cuda", "tensorrt"]
Shape = tuple[int, int, int]

NAMES: dict[OrtKind, str] = {
    "onnxruntime": "ONNX Runtime CPU",
    "cuda": "ONNX Runtime CUDA",
    "tensorrt": "ONNX Runtime TensorRT",
}
PROVIDERS: dict[OrtKind, str] = {
    "onnxruntime": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

INPUT, OUTPUT = "window", "probabilities"
# A window that any exported network takes and that costs next to nothing: see release().
SMALL: Shape = (4, 64, 64)
CUDA_SETTINGS = {
    "cudnn_conv_algo_search": "HEURISTIC",  # a search by trial takes seconds per shape
    "arena_extend_strategy": "kSameAsRequested",  # doubling takes up to twice what is needed
}
ARENAS: dict[OrtKind, str] = {"onnxruntime": "cpu:0", "cuda": "gpu:{gpu}"}
# Of the voxels that are of a structure, how many half precision may give to another class. A Dice
# that is 0.003 lower, the most that speed may cost, is some 0.6 % of them.
MOST_MOVED = 0.006
AGREES = "fp16-agrees"  # file beside an engine that was checked
FP32 = "fp32"  # folder below that of a shape: its engine, where half precision moves more
# What CUDA, ONNX Runtime's arena and C++ say when there is no room.
OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad_alloc")


class OnnxRuntimeEngine:
    """One network in a session of ONNX Runtime.

    A session for TensorRT is built for one shape of window, first the one that ``spec``
    describes; a window of another shape builds it anew. It computes in half precision unless the
    first window of a new engine shows that this moves labels.
    """

    def __init__(
        self,
        path: Path,
        spec: Spec,
        kind: OrtKind,
        *,
        threads: int,
        cache: Path | None = None,
        say: Callable[[str], None] = lambda line: None,
        gpu: int = 0,
    ) -> None:
        self._runtime = onnxruntime_module()
        self._path, self._kind, self._threads = path, kind, threads
        self._cache, self._say, self._gpu = cache, say, gpu
        self._softmax = spec.softmax
        self.name = f"{NAMES[kind]} {'fp16' if kind == 'tensorrt' else spec.precision}"
        self._new = False  # an engine in half precision that was never checked
        self._open((spec.window.depth, spec.crop.size[1], spec.crop.size[0]))
        self._check_channels(len(spec.classes))

    def __call__(self, window: Array, options: Any = None) -> Array:
        """(Z, Y, X) to (C, Z, Y, X); ``options`` are the runtime's own."""
        depth, height, width = window.shape
        if self._kind == "tensorrt" and self._shape != (depth, height, width):
            self._open((depth, height, width))
        batch = np.ascontiguousarray(window[None, None], dtype=np.float32)
        scores = self._run(batch, options)
        if self._new:
            scores = self._checked(batch, scores)
        return scores if self._softmax else softmax(scores)

    def release(self) -> None:
        """Give the memory of intermediate results back, between two cases.

        ONNX Runtime does that at the end of a run only, so a small one is made. TensorRT keeps
        its memory as long as its session lives.
        """
        if self._kind in ARENAS:
            options = self._runtime.RunOptions()
            options.add_run_config_entry(
                "memory.enable_memory_arena_shrinkage", ARENAS[self._kind].format(gpu=self._gpu)
            )
            self(np.zeros(SMALL, np.float32), options)

    def _run(self, batch: Array, options: Any = None) -> Array:
        try:
            scores: Array = self._session.run([OUTPUT], {INPUT: batch}, options)[0][0]
        except Exception as error:  # the runtime's own classes share no other base
            raise _explained(error, self._path, self.name) from error
        return scores

    def _checked(self, batch: Array, scores: Array) -> Array:
        """``scores`` where the processor agrees with them, else those of an engine in float32."""
        self._new = False
        exact = self._runtime.InferenceSession(
            self._path, self._options(), providers=[PROVIDERS["onnxruntime"]]
        )
        moved = moved_share(scores, exact.run([OUTPUT], {INPUT: batch})[0][0])
        if moved <= MOST_MOVED:
            if (folder := self._engine_folder(self._shape)) is not None:
                (folder / AGREES).touch()
            return scores
        self._say(f"TensorRT in fp16 moves {moved:.1%} of the labels; going on in fp32")
        self.name = f"{NAMES[self._kind]} {FP32}"
        self._open(self._shape)
        return self._run(batch)

    def _open(self, shape: Shape) -> None:
        """Start the session, for ``shape`` alone where TensorRT is to run it."""
        self._session: Any = None  # frees the last one's memory first
        try:
            self._session = self._runtime.InferenceSession(
                self._path,
                self._options(),
                providers=self._providers(shape),
                enable_fallback=0,  # would go on without the GPU, and say so on stdout
            )
        except Exception as error:  # the runtime's own classes share no other base
            raise _explained(error, self._path, self.name) from error
        active = self._session.get_providers()
        if PROVIDERS[self._kind] not in active:
            raise DeviceError(
                f"{self.name} did not start (only {', '.join(active)} did): one of its libraries "
                "is missing or of another version; 'info' lists them, or run with device 'cpu'"
            )
        self._shape = shape

    def _options(self) -> Any:
        options = self._runtime.SessionOptions()
        # A number of its own choice makes it bind threads to processors it may not have.
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # only what ends the process; the rest are exceptions
        return options

    def _providers(self, shape: Shape) -> list[str | tuple[str, dict[str, str]]]:
        """The provider asked for, then those that may take operations it does not know."""
        cuda = (PROVIDERS["cuda"], CUDA_SETTINGS | {"device_id": str(self._gpu)})
        if self._kind == "onnxruntime":
            return [PROVIDERS["onnxruntime"]]
        if self._kind == "cuda":
            return [cuda, PROVIDERS["onnxruntime"]]
        folder = self._engine_folder(shape)
        half = not self.name.endswith(FP32)
        self._new = half and (folder is None or not (folder / AGREES).exists())
        if folder is None or not any(folder.glob("*.engine")):
            again = "every time, as there is no cache folder" if folder is None else "once"
            self._say(f"building the TensorRT engine, this takes minutes {again}")
        settings = tensorrt_settings(shape, folder, self._gpu, half=half)
        return [(PROVIDERS["tensorrt"], settings), cuda, PROVIDERS["onnxruntime"]]

    def _engine_folder(self, shape: Shape) -> Path | None:
        """One folder per shape: engines of two shapes would replace each other.

        That of an engine in float32, where it was needed once, lies in it.
        """
        if self._cache is None:
            return None
        folder = self._cache / "x".join(map(str, shape))
        if self.name.endswith(FP32) or (folder / FP32).exists():
            self.name = f"{NAMES[self._kind]} {FP32}"
            folder = folder / FP32
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _check_channels(self, classes: int) -> None:
        names = [port.name for port in (*self._session.get_inputs(), *self._session.get_outputs())]
        found = self._session.get_outputs()[0].shape[1:2]
        if names != [INPUT, OUTPUT] or found != [classes]:
            raise WeightsError(
                f"{self._path}: the network goes from {names[0]} to {names[-1]} with {found} "
                f"channels, expected {INPUT}, {OUTPUT} and {classes}; export the weights again."
            )


def moved_share(found: Array, exact: Array) -> float:
    """Of the voxels that either of two outputs (C, Z, Y, X) gives to a structure, those moved."""
    ours, theirs = found.argmax(axis=0), exact.argmax(axis=0)
    of_structures = (ours > 0) | (theirs > 0)
    return float((ours != theirs).sum() / max(1, of_structures.sum()))


def tensorrt_settings(
    shape: Shape, folder: Path | None, gpu: int = 0, *, half: bool = True
) -> dict[str, str]:
    """Options of the TensorRT provider for windows of ``shape`` and engines in ``folder``."""
    profile = f"{INPUT}:1x1x{shape[0]}x{shape[1]}x{shape[2]}"
    settings = {
        "device_id": str(gpu),
        "trt_fp16_enable": str(half),
        "trt_profile_min_shapes": profile,
        "trt_profile_opt_shapes": profile,
        "trt_profile_max_shapes": profile,
    }
    if folder is not None:
        settings |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder.parent),
        }
    return settings


def onnxruntime_module() -> Any:
    """The imported onnxruntime; what it would log comes as exceptions or is found by checks."""
    try:
        with silent_stderr():  # on import it warns about graphics cards that it cannot read
            import onnxruntime
    except ModuleNotFoundError as error:
        raise DeviceError("onnxruntime is not installed; install onnxruntime-gpu") from error
    except ImportError as error:
        raise DeviceError(f"onnxruntime cannot be imported ({error}); install it anew") from error
    onnxruntime.set_default_logger_severity(4)  # only what ends the process
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _check(kind: OrtKind) -> str:
    if kind != "onnxruntime":
        read_driver()  # most machines have none, and to import the runtime takes a moment
    runtime = onnxruntime_module()
    version = f"onnxruntime {runtime.__version__}"
    if PROVIDERS[kind] not in runtime.get_available_providers():
        raise DeviceError(
            f"{version} was built without the {PROVIDERS[kind]}; install onnxruntime-gpu instead"
        )
    if kind == "onnxruntime":
        return version
    return f"{version}, {check_gpu(runtime, tensorrt=kind == 'tensorrt')}"


def _load(kind: OrtKind, path: Path, spec: Spec, resources: Resources) -> Engine:
    threads, cache, say, gpu = resources.threads, resources.cache, resources.say, resources.gpu
    return OnnxRuntimeEngine(path, spec, kind, threads=threads, cache=cache, say=say, gpu=gpu)


def _runtime(kind: OrtKind, device: str, *, compiles: bool = False) -> Runtime:
    return Runtime(NAMES[kind], device, partial(_check, kind), partial(_load, kind), compiles)


def _explained(error: Exception, path: Path, name: str) -> InferenceError:
    """The runtime's exception as one line that says whether weights or device are at fault."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if any(words in reason.lower() for words in OUT_OF_MEMORY):
        return DeviceError(
            f"{name} ran out of memory ({reason}); "
            "end other programs that use the device, or run with device 'cpu'"
        )
    if type(error).__name__ in ("InvalidProtobuf", "InvalidGraph", "NoSuchFile", "NoModel"):
        return WeightsError(
            f"{path}: ONNX Runtime cannot read this network ({reason}). "
            "The file is damaged or was not exported for this program; get it again."
        )
    return DeviceError(f"{name} cannot run {path} ({reason}); run with another device")


CPU = _runtime("onnxruntime", "cpu")
CUDA = _runtime("cuda", "cuda")
TENSORRT = _runtime("tensorrt", "tensorrt", compiles=True)
