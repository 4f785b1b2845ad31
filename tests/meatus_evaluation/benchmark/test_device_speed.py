import json
from pathlib import Path

import numpy as np
import pytest

from meatus.engines import nvidia
from meatus_evaluation.benchmark import device_speed
from meatus_evaluation.benchmark.device_speed import DeviceRow, row_of, table_lines, time_device
from tests.meatus.tiny_runs import save_scan, write_weights
from tests.meatus_evaluation.label_maps import TRUTH, ends_in_one_line, run, save

TOLD = json.dumps({"seconds": {"read": 0.5, "network": 2.0, "clean": 1.0}, "peak_mib": 700.0})


def test_the_networks_seconds_stand_apart():
    row = row_of(TOLD, "cuda", "fast", 900.0)

    assert (row.network_s, row.other_s, row.rss_mib, row.gpu_mib) == (2.0, 1.5, 700.0, 900.0)


def test_the_table_is_markdown_with_blanks_for_what_there_is_none_of():
    rows = [
        DeviceRow("cpu", "fast", 2.0, 1.5, 700.0, None, None),
        DeviceRow("cuda", "fast", 0.1, 0.4, 700.4, 900.0, 0.99876),
    ]

    lines = table_lines(rows)

    assert lines[2] == "| cpu | fast | 3.50 | 2.00 | 700 |  |  |"
    assert lines[3] == "| cuda | fast | 0.50 | 0.10 | 700 | 900 | 0.9988 |"
    assert {line.count("|") for line in lines} == {8}


@pytest.fixture
def a_gpu(monkeypatch):
    """``stages`` of a GPU misses the cochlea that the processor finds."""
    asked = []

    def run_watched(command, _rss, _gpu):
        given = command.arguments
        device, labels = (given[given.index(name) + 1] for name in ("--device", "--labels"))
        asked.append(device)
        boxes = TRUTH if device == "cpu" else TRUTH | {3: np.s_[0:0, 0:0, 0:0]}
        save(Path(labels), boxes)
        return 1.0, TOLD

    monkeypatch.setattr(device_speed, "run_watched", run_watched)
    return asked


def test_each_quality_runs_on_both_and_labels_are_compared(a_gpu, tmp_path):
    rows = time_device(tmp_path / "a.nii.gz", tmp_path, "cuda", 1, lambda _: None)

    assert a_gpu == ["cpu", "cuda"] * 3
    assert [row.dice for row in rows] == [None, 0.0] * 3


def test_on_the_processor_alone_nothing_is_compared(a_gpu, tmp_path):
    rows = time_device(tmp_path / "a.nii.gz", tmp_path, "cpu", 1, lambda _: None)

    assert [(row.quality, row.dice) for row in rows] == [
        ("fast", None),
        ("standard", None),
        ("full", None),
    ]


def test_the_command_prints_the_table(tmp_path):
    (tmp_path / "weights").mkdir()
    weights = write_weights(tmp_path / "weights")
    scan = save_scan(tmp_path / "a_T2.nii.gz")

    done = run("bench", scan, "--device", "cpu", "--weights", weights, "--repeats", 1)

    assert done.exit_code == 0, done.output
    assert [line.split(" | ")[1] for line in done.stdout.splitlines()[-3:]] == [
        "fast",
        "standard",
        "full",
    ]


@pytest.mark.parametrize("arguments", [("a.nii.gz",), ("--device", "cpu")])
def test_a_scan_and_a_device_go_together(arguments):
    assert ends_in_one_line(run("bench", *arguments), 2, "bench SCAN --device")


def test_a_device_that_is_not_there_is_told_before_anything_runs(tmp_path, monkeypatch):
    def none(name):
        raise OSError(name)

    monkeypatch.setattr(nvidia, "load_library", none)

    done = run("bench", save_scan(tmp_path / "a_T2.nii.gz"), "--device", "cuda")

    assert ends_in_one_line(done, 2, "no NVIDIA driver")
