"""NVIDIA's driver and libraries: whether ONNX Runtime can use a GPU here, and why not."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meatus.errors import DeviceError

# What the providers of onnxruntime-gpu 1.31 load, besides what comes with the driver.
CUDA_LIBRARIES = ("libcudart.so.{cuda}", "libcublasLt.so.{cuda}", "libcublas.so.{cuda}")
CUDA_COMPANIONS = ("libcurand.so.10", "libcudnn.so.9")
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")
CUDA_ERROR_NO_DEVICE = 100  # of the CUDA driver's API


@dataclass(frozen=True)
class Driver:
    """What the NVIDIA driver says about itself."""

    cuda: tuple[int, int]  # the newest CUDA that it runs
    devices: tuple[str, ...]


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


def check_gpu(runtime: Any, *, tensorrt: bool) -> str:
    """Driver, devices and libraries in words; ``runtime`` is the imported onnxruntime.

    Raises ``DeviceError`` with what is missing.
    """
    built_for = str(getattr(runtime, "cuda_version", "") or "13")
    needed = int(built_for.partition(".")[0])
    driver = read_driver()
    check_driver(driver, needed)
    # Takes CUDA and cuDNN from NVIDIA's wheels, prints what fails, and leaves it at that.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runtime.preload_dlls()
    libraries = [name.format(cuda=needed) for name in CUDA_LIBRARIES + CUDA_COMPANIONS]
    if tensorrt:
        libraries += TENSORRT_LIBRARIES
    for name in libraries:
        try:
            load_library(name)
        except OSError as error:
            wants = f"install CUDA {needed} with cuDNN 9"
            if name in TENSORRT_LIBRARIES:
                wants = f"install TensorRT 10 for CUDA {needed} with its folder in LD_LIBRARY_PATH"
            raise DeviceError(f"{name} cannot be loaded ({error}); {wants}") from error
    return f"CUDA {built_for}, {', '.join(driver.devices)}"
