"""How many threads a process may use."""

import os
from pathlib import Path, PurePosixPath

import pytest

from meatus.engines.threads import (
    cpu_quota,
    group_folders,
    parse_cfs,
    parse_cpu_max,
    threads_within,
    usable_threads,
)


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
