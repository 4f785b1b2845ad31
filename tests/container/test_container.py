"""The lock files fit the requirements; with MEATUS_CONTAINER set, the image keeps its promises.

MEATUS_CONTAINER=1 builds and runs the image for processors (a minute or two), =all the one for
GPUs too (2 GB of downloads).
"""

import os
import re
from pathlib import Path

import pytest

from meatus import __version__

ROOT = Path(__file__).resolve().parents[2]
WANTED = {"": (), "1": ("cpu",), "all": ("cpu", "gpu")}[os.environ.get("MEATUS_CONTAINER", "")]


def pins(file):
    """Name and version of every package that ``file`` pins."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", file.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["cpu", "gpu"])
def test_a_lock_file_pins_what_the_requirements_pin(lock):
    asked = pins(ROOT / "requirements.txt")
    del asked["onnxruntime"]  # of other systems than the image's
    if lock == "cpu":
        del asked["onnxruntime-gpu"]

    locked = pins(ROOT / "packaging" / f"{lock}.txt")

    hint = "run packaging/lock.sh"
    assert {name: locked.get(name) for name in asked} == asked, hint


@pytest.mark.parametrize("lock", ["cpu", "gpu", "tools"])
def test_a_lock_file_holds_nothing_but_packages_with_hashes(lock):
    text = (ROOT / "packaging" / f"{lock}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]

    package = re.compile(r"[\w.-]+==\S+( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line for line in lines if not package.fullmatch(line)] == []


def test_openvinos_telemetry_stays_out_of_the_image():
    for lock in ("cpu", "gpu"):
        assert "openvino-telemetry" not in pins(ROOT / "packaging" / f"{lock}.txt")


def test_the_image_bears_the_programs_version():
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_the_image_labels_two_scans_shut_off_from_everything(target):
    if target not in WANTED:
        pytest.skip("MEATUS_CONTAINER=1 builds the cpu image, MEATUS_CONTAINER=all both")
    from tests.container.build_and_run import build_and_check  # needs onnx
    from tests.container.engines import UnavailableError

    try:
        build_and_check(target)
    except UnavailableError as reason:
        pytest.skip(str(reason))
