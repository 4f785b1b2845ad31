"""Which runtimes work on this machine, and why the others do not."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from meatus.engines.quiet import silent_stderr
from meatus.errors import DeviceError

Device = Literal["auto", "cpu", "cuda", "tensorrt"]  # what a user asks for
Kind = Literal["openvino", "onnxruntime", "cuda", "tensorrt"]  # what runs
GpuKind = Literal["cuda", "tensorrt"]

NAMES: dict[Kind, str] = {
    "openvino": "OpenVINO CPU",
    "onnxruntime": "ONNX Runtime CPU",
    "cuda": "ONNX Runtime CUDA",
    "tensorrt": "ONNX Runtime TensorRT",
}
PROVIDERS: dict[Kind, str] = {
    "onnxruntime": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# What the providers of onnxruntime-gpu 1.31 load, besides what comes with the driver.
CUDA_LIBRARIES = ("libcudart.so.{cuda}", "libcublasLt.so.{cuda}", "libcublas.so.{cuda}")
CUDA_COMPANIONS = ("libcurand.so.10", "libcudnn.so.9")
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")
CUDA_ERROR_NO_DEVICE = 100  # of the CUDA driver's API


@dataclass(frozen=True)
class EngineStatus:
    """One runtime on one device, for ``info``."""

    name: str
    usable: bool
    detail: str  # versions and devices, or what is missing


@dataclass(frozen=True)
class Driver:
    """What the NVIDIA driver says about itself."""

    cuda: tuple[int, int]  # the newest CUDA that it runs
    devices: tuple[str, ...]


def choose(device: Device, say: Callable[[str], None]) -> Kind:
    """The runtime for ``device``; "auto" tells in one line what it came to.

    Raises ``DeviceError`` with the reason where a device that was asked for is not usable.
    """
    if device == "cpu":
        return _cpu()
    if device == "auto":
        return _auto(say)
    try:
        check(device)
    except DeviceError as error:
        raise DeviceError(
            f"device '{device}' cannot be used: {error}; or run with device 'cpu'"
        ) from error
    return device


def availability() -> list[EngineStatus]:
    """Every runtime, whether it can be used here, and what it is or lacks."""
    return [_status(kind) for kind in NAMES]


def check(kind: Kind) -> str:
    """What ``kind`` runs on, in words. Raises ``DeviceError`` with the reason if it does not."""
    if kind == "openvino":
        return f"openvino {openvino_module().__version__}"
    runtime = onnxruntime_module()
    version = f"onnxruntime {runtime.__version__}"
    if PROVIDERS[kind] not in runtime.get_available_providers():
        raise DeviceError(
            f"{version} was built without the {PROVIDERS[kind]}; install onnxruntime-gpu instead"
        )
    return version if kind == "onnxruntime" else f"{version}, {_check_gpu(runtime, kind)}"


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


def read_driver() -> Driver:
    """Ask the NVIDIA driver; ``DeviceError`` where there is none or it does not start."""
    try:
        cuda = load_library("libcuda.so.1")
    except OSError as error:
        raise DeviceError(
            "no NVIDIA driver was found (libcuda.so.1); install it, "
            "and give a container its GPUs (docker run --gpus all)"
        ) from error
    version, count, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(100)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    if code not in (0, CUDA_ERROR_NO_DEVICE):
        raise DeviceError(f"the NVIDIA driver does not start (error {code}); try nvidia-smi")
    names = []
    for number in range(count.value):
        cuda.cuDeviceGetName(name, len(name), number)  # a device's handle is its number
        names.append(name.value.decode(errors="replace"))
    major, minor = divmod(version.value, 1000)
    return Driver((major, minor // 10), tuple(names))


def check_driver(driver: Driver, needed_cuda: int) -> None:
    """Raise ``DeviceError`` where ``driver`` has no device or is too old."""
    if not driver.devices:
        raise DeviceError(
            "the NVIDIA driver shows no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES, "
            "and give a container its GPUs (docker run --gpus all)"
        )
    major, minor = driver.cuda
    if major < needed_cuda:
        raise DeviceError(
            f"the NVIDIA driver runs CUDA up to {major}.{minor}, but this onnxruntime needs "
            f"CUDA {needed_cuda}; update the driver"
        )


def load_library(name: str) -> ctypes.CDLL:
    """Load a shared library, also from the wheels of TensorRT, which lie off the usual path."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        wheel = importlib.util.find_spec("tensorrt_libs")
        for folder in (wheel and wheel.submodule_search_locations) or ():
            if (Path(folder) / name).exists():
                return ctypes.CDLL(str(Path(folder) / name))
        raise


def _check_gpu(runtime: Any, kind: GpuKind) -> str:
    built_for = str(getattr(runtime, "cuda_version", "") or "13")
    needed = int(built_for.partition(".")[0])
    driver = read_driver()
    check_driver(driver, needed)
    # Takes CUDA and cuDNN from NVIDIA's wheels, prints what fails, and leaves it at that.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runtime.preload_dlls()
    libraries = [name.format(cuda=needed) for name in CUDA_LIBRARIES + CUDA_COMPANIONS]
    if kind == "tensorrt":
        libraries += TENSORRT_LIBRARIES
    for name in libraries:
        try:
            load_library(name)
        except OSError as error:
            wants = "TensorRT 10" if name in TENSORRT_LIBRARIES else f"CUDA {needed} with cuDNN 9"
            raise DeviceError(f"{name} cannot be loaded ({error}); install {wants}") from error
    return f"CUDA {built_for}, {', '.join(driver.devices)}"


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


def _cpu() -> Kind:
    """OpenVINO where it is installed, as it is the faster one."""
    try:
        check("openvino")
    except DeviceError as first:
        try:
            check("onnxruntime")
        except DeviceError as second:
            raise DeviceError(f"device 'cpu' cannot be used: {first}; or: {second}") from second
        return "onnxruntime"
    return "openvino"


def _auto(say: Callable[[str], None]) -> Kind:
    try:
        detail = check("cuda")
    except DeviceError as error:
        kind = _cpu()
        say(f"device: {NAMES[kind]}, as CUDA cannot be used ({error})")
        return kind
    say(f"device: {NAMES['cuda']} ({detail})")
    return "cuda"


def _status(kind: Kind) -> EngineStatus:
    try:
        return EngineStatus(NAMES[kind], True, check(kind))
    except DeviceError as error:
        return EngineStatus(NAMES[kind], False, str(error))
