"""Devices that cannot be used say why, and the automatic choice says what it came to."""

import os
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from meatus.engines import availability, choose, load_engine, nvidia, onnx_runtime
from meatus.engines.devices import (
    cpu_quota,
    group_folders,
    parse_cfs,
    parse_cpu_max,
    threads_within,
    usable_threads,
)
from meatus.engines.nvidia import Driver, check_driver
from meatus.errors import DeviceError
from tests.meatus.onnx_files import tiny_spec, write_network


def no_driver(name):
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_without_a_driver_is_refused_in_one_line(device, monkeypatch, capfd):
    monkeypatch.setattr(nvidia, "load_library", no_driver)
    with pytest.raises(DeviceError, match=r"libcuda\.so\.1") as caught:
        choose(device, print)
    assert str(caught.value).startswith(f"device '{device}' cannot be used: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_automatic_choice_falls_back_to_the_processor_and_says_so_once(monkeypatch):
    monkeypatch.setattr(nvidia, "load_library", no_driver)
    said = []
    assert choose("auto", said.append) == "openvino"
    assert len(said) == 1
    assert "no NVIDIA driver" in said[0]
    assert "\n" not in said[0]


def test_a_gpu_whose_libraries_are_missing_names_the_first(monkeypatch, capfd):
    def only_driver(name):
        raise OSError("no such file")

    for module in (nvidia, onnx_runtime):
        monkeypatch.setattr(module, "read_driver", lambda: Driver((13, 2), ("H100",)))
    monkeypatch.setattr(nvidia, "load_library", only_driver)
    with pytest.raises(DeviceError, match=r"libcudart\.so\.\d+ cannot be loaded"):
        choose("cuda", print)
    assert capfd.readouterr().out == ""


def test_a_gpu_without_tensorrt_says_what_to_install_and_where_it_is_looked_for(monkeypatch):
    def all_but_tensorrt(name):
        if name.startswith("libnv"):
            raise OSError("no such file")

    for module in (nvidia, onnx_runtime):
        monkeypatch.setattr(module, "read_driver", lambda: Driver((99, 0), ("H100",)))
    monkeypatch.setattr(nvidia, "load_library", all_but_tensorrt)
    with pytest.raises(DeviceError) as caught:
        choose("tensorrt", print)
    line = str(caught.value)
    assert line.startswith("device 'tensorrt' cannot be used: libnvinfer.so.10 cannot be loaded")
    assert "; install TensorRT 10 for CUDA 1" in line
    assert line.endswith(" with its folder in LD_LIBRARY_PATH; or run with device 'cpu'")
    assert "\n" not in line
    assert choose("cuda", print) == "cuda"


def test_a_gpu_with_all_its_libraries_is_chosen(monkeypatch):
    for module in (nvidia, onnx_runtime):
        monkeypatch.setattr(module, "read_driver", lambda: Driver((99, 0), ("H100", "L4")))
    monkeypatch.setattr(nvidia, "load_library", lambda name: None)
    said = []
    assert choose("auto", said.append) == "cuda"
    assert "H100, L4" in said[0]


def test_no_device_and_an_old_driver_are_told_apart():
    check_driver(Driver((13, 0), ("H100",)), 13)
    with pytest.raises(DeviceError, match="shows no GPU"):
        check_driver(Driver((13, 0), ()), 13)
    with pytest.raises(DeviceError, match=r"up to 12\.8"):
        check_driver(Driver((12, 8), ("H100",)), 13)


class FakeDriver:
    """Answers like libcuda on a machine with two devices; ``code`` is what cuInit returns."""

    def __init__(self, code):
        self.cuInit = lambda flags: code

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = 12080

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGetName(self, name, length, number):  # noqa: N802
        name.value = b"GPU %d" % number


def test_the_driver_is_asked_for_version_and_devices(monkeypatch):
    monkeypatch.setattr(nvidia, "load_library", lambda name: FakeDriver(0))
    assert nvidia.read_driver() == Driver((12, 8), ("GPU 0", "GPU 1"))
    monkeypatch.setattr(nvidia, "load_library", lambda name: FakeDriver(100))
    assert nvidia.read_driver().devices == ()
    monkeypatch.setattr(nvidia, "load_library", lambda name: FakeDriver(999))
    with pytest.raises(DeviceError, match="error 999"):
        nvidia.read_driver()


def test_without_openvino_the_processor_runs_onnx_runtime(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose("cpu", print) == "onnxruntime"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match="onnxruntime is not installed"):
        choose("cpu", print)


def test_without_onnx_runtime_the_processor_still_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(onnx_runtime, "read_driver", lambda: Driver((13, 2), ("H100",)))
    said = []
    kind = choose("auto", said.append)
    assert kind == "openvino"
    assert "onnxruntime is not installed" in said[0]
    path = write_network(tmp_path / "a.onnx")
    engine = load_engine(path, tiny_spec(), kind, threads=1, cache=None, say=print)
    assert engine(np.zeros((4, 6, 8), np.float32)).shape == (4, 4, 6, 8)


def test_every_runtime_reports_its_state():
    states = availability()
    assert [state.name for state in states][:2] == ["OpenVINO CPU", "ONNX Runtime CPU"]
    assert len(states) == 4
    assert all(state.detail and "\n" not in state.detail for state in states)
    assert all(state.usable for state in states[:2])


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2.0),
        ("50000 100000", 0.5),
        ("", None),
        ("nonsense", None),
        ("100000 0", None),
    ],
)
def test_version_2_states_quota_and_period_in_one_file(text, quota):
    assert parse_cpu_max(text) == quota


@pytest.mark.parametrize(
    ("quota", "period", "processors"),
    [("-1\n", "100000\n", None), ("150000\n", "100000\n", 1.5), ("", "", None)],
)
def test_version_1_states_them_in_two_files(quota, period, processors):
    assert parse_cfs(quota, period) == processors


@pytest.mark.parametrize(
    ("processors", "quota", "threads"), [(8, None, 8), (8, 2.5, 2), (2, 4.0, 2), (8, 0.5, 1)]
)
def test_threads_fit_into_affinity_and_quota_and_are_at_least_one(processors, quota, threads):
    assert threads_within(processors, quota) == threads


def test_groups_are_listed_from_the_process_up_to_the_root():
    assert list(group_folders("0::/job/step\n")) == [
        PurePosixPath("job/step"),
        PurePosixPath("job"),
        PurePosixPath(),
    ]


def test_only_groups_that_control_the_processor_count():
    folders = set(group_folders("4:memory:/m\n3:cpuset:/s\n2:cpu,cpuacct:/job\n"))
    assert folders == {
        PurePosixPath("cpu,cpuacct/job"),
        PurePosixPath("cpu,cpuacct"),
        PurePosixPath("cpu/job"),
        PurePosixPath("cpu"),
    }


def write(folder: Path, **texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_tightest_group_decides(tmp_path):
    write(tmp_path, membership="0::/job/step\n")
    write(tmp_path / "root/job", cpu__max="300000 100000")
    write(tmp_path / "root/job/step", cpu__max="400000 100000")
    assert cpu_quota(tmp_path / "membership", tmp_path / "root") == 3.0


def test_a_container_that_sees_its_hosts_path_is_limited_by_its_own_root(tmp_path):
    write(tmp_path, membership="3:cpu,cpuacct:/docker/0123\n")
    write(tmp_path / "root/cpu", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    assert cpu_quota(tmp_path / "membership", tmp_path / "root") == 2.5


def test_without_cgroups_nothing_is_limited(tmp_path):
    assert cpu_quota(tmp_path / "membership", tmp_path) is None


def test_this_process_gets_no_more_threads_than_processors():
    assert 1 <= usable_threads() <= len(os.sched_getaffinity(0))
