"""OpenVINO on the processor: the fastest runtime where there is no GPU."""

from __future__ import annotations

import base64
import functools
import io
import re
import sys
import zipfile
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meatus.engines.protocol import Engine, Resources, Runtime, softmax
from meatus.errors import DeviceError, WeightsError
from meatus.geometry import Array
from meatus.spec import Spec
from meatus.weights import metadata_props

Precision = Literal["f32", "bf16", "int8"]
Shape = tuple[int, int, int]

# Of an ONNX file's metadata: the same network quantised, as OpenVINO's two files in a zip archive,
# in base64. One file stays one member, whole by one hash; other runtimes do not see it.
INT8_KEY = "meatus-int8"
GRAPH, NUMBERS = "network.xml", "network.bin"
PROCESSOR = Path("/proc/cpuinfo")

# The kernel's names of instructions.
VNNI = frozenset(("avx512_vnni", "avx_vnni"))
AMX = "amx_bf16"


def fastest_precision(
    capabilities: Iterable[str],
    instructions: Collection[str] = (),
    *,
    has_int8: bool = False,
) -> Precision:
    """The precision to compute in, from OpenVINO's OPTIMIZATION_CAPABILITIES.

    BF16 is listed where the processor has instructions for it (AVX512-BF16, AMX). On others
    OpenVINO imitates it on request, slower than f32 and no more exact. Products of int8 (VNNI) take
    0.45 of f32's time where there is no bf16, and 0.77 of bf16's where that has no AMX; beside AMX
    they were never measured (docs/speed.md).
    """
    if has_int8 and AMX not in instructions and not VNNI.isdisjoint(instructions):
        return "int8"
    return "bf16" if "BF16" in capabilities else "f32"


def processor_instructions(processor: Path = PROCESSOR) -> frozenset[str]:
    """The kernel's names of the instructions that the processor has; none where it does not say."""
    with suppress(OSError):
        return instructions_in(processor.read_text())
    return frozenset()


def instructions_in(cpuinfo: str) -> frozenset[str]:
    """The same from the text of ``/proc/cpuinfo``: of its first processor."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(flags[1].split() if flags else ())


def int8_network(path: Path) -> tuple[bytes, bytes] | None:
    """Graph and numbers of the int8 network in the ONNX file ``path``, if it holds one.

    Raises ``WeightsError`` where it holds a damaged one.
    """
    packed = metadata_props(path.read_bytes(), str(path)).get(INT8_KEY)
    if packed is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed, validate=True))) as archive:
            return archive.read(GRAPH), archive.read(NUMBERS)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path}: its int8 network is damaged ({error}); get the file again"
        ) from error


@functools.cache
def openvino_core() -> Any:
    """OpenVINO's Core, one for the whole process.

    Where the processor has AMX, every Core replaces the thread's alternate signal stack and puts
    the one before it back when it goes. Of two that do not go in the reverse order of their
    coming the last puts back freed memory, and the next signal kills the process.
    """
    return openvino_module().Core()


class OpenVinoEngine:
    """One network on the processor, compiled for the shape of the last window."""

    def __init__(
        self,
        path: Path,
        spec: Spec,
        *,
        threads: int,
        cache: Path | None = None,
        precision: Precision | None = None,
        first_window: Shape | None = None,
    ) -> None:
        """``first_window`` is the shape of the first one, as far as can be known.

        The network is compiled for it beside what else the caller does until then.
        """
        self._core = openvino_core()
        self._path = path
        self._softmax = spec.softmax
        capabilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        chosen = precision or fastest_precision(
            capabilities, processor_instructions(), has_int8=True
        )
        # Unpacked only where it would run: that is work at every start.
        self._int8 = int8_network(path) if chosen == "int8" else None
        if chosen == "int8" and self._int8 is None:
            if precision == "int8":
                raise WeightsError(f"{path} holds no int8 network; meatus train quantise adds one")
            chosen = fastest_precision(capabilities)
        self.name = f"OpenVINO CPU {chosen}"
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32" if chosen == "int8" else chosen,
            "PERFORMANCE_HINT": "LATENCY",  # one window at a time, on all threads
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # would leave the processors that a job was given
        }
        if cache is not None:
            self._settings["CACHE_DIR"] = str(cache)
        self._shape: tuple[int, ...] | None = None
        self._compiled: Any = None
        self._request: Any = None
        self._ahead: tuple[Shape, Future[Any]] | None = None
        model = self._read(len(spec.classes))
        if first_window is not None:
            pool = ThreadPoolExecutor(1, "compile")
            self._ahead = (first_window, pool.submit(self._compiled_for, first_window, model))
            pool.shutdown(wait=False)

    def __call__(self, window: Array) -> Array:
        """(Z, Y, X) to (C, Z, Y, X); a window of another shape than the last compiles anew."""
        if window.shape != self._shape:
            self._compile(window.shape)
        batch = np.ascontiguousarray(window[None, None], dtype=np.float32)
        result = self._request.infer({0: batch}, share_inputs=True, share_outputs=True)
        scores: Array = np.array(result[0][0])  # a copy: the next window writes over the result
        return scores if self._softmax else softmax(scores)

    def release(self) -> None:
        """Give the memory of intermediate results back, between two cases."""
        if self._compiled is not None:
            self._compiled.release_memory()

    def _compile(self, shape: tuple[int, ...]) -> None:
        """Compile for one window: known sizes let OpenVINO choose better kernels."""
        self._compiled = self._request = self._shape = None  # frees the last one's memory first
        expected, ahead = self._ahead or (None, None)
        self._ahead = None
        self._compiled = (
            ahead.result()
            if ahead is not None and expected == shape
            else self._compiled_for(shape, self._read())
        )
        self._request = self._compiled.create_infer_request()
        self._shape = shape

    def _compiled_for(self, shape: tuple[int, ...], model: Any) -> Any:
        model.reshape([1, 1, *shape])
        return self._core.compile_model(model, "CPU", self._settings)

    def _read(self, classes: int | None = None) -> Any:
        """The network as OpenVINO's model; ``classes`` is checked where it is given."""
        try:
            model = self._core.read_model(*self._int8 or (self._path,))
            found = model.output(0).partial_shape[1]
        except Exception as error:  # OpenVINO raises bare RuntimeErrors
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(
                f"{self._path}: OpenVINO cannot read this network ({reason}). "
                "The file is damaged or was not exported for this program; get it again."
            ) from error
        if classes is not None and found.is_static and found.get_length() != classes:
            raise WeightsError(
                f"{self._path}: the network has {found.get_length()} output channels, "
                f"expected {classes} as its metadata says; export the weights again."
            )
        return model


def openvino_module() -> Any:
    """The imported openvino, which does not call home.

    Importing it sends a word to its makers where the package openvino-telemetry is installed,
    as pip does. To an import that finds None the package is not there.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise DeviceError("openvino is not installed; install openvino") from error
    except ImportError as error:
        raise DeviceError(f"openvino cannot be imported ({error}); install it anew") from error
    return openvino


def _check() -> str:
    return f"openvino {openvino_module().__version__}"


def _load(path: Path, spec: Spec, resources: Resources) -> Engine:
    return OpenVinoEngine(
        path,
        spec,
        threads=resources.threads,
        cache=resources.cache,
        first_window=resources.first_window,
    )


RUNTIME = Runtime("OpenVINO CPU", "cpu", _check, _load, compiles=True)
