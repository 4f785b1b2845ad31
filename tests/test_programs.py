"""What is said and done about programs that tests need and that are not here."""

import shutil
import subprocess

import pytest

from tests.programs import closing_line
from tests.test_architecture import ROOT


def test_skipped_tests_are_told_in_one_line_with_what_to_install():
    reasons = [
        "Skipped: dcmdump is not here: apt-get install dcmtk",
        "Skipped: dsrdump is not here: apt-get install dcmtk",
        "Skipped: no Chromium is here: apt-get install chromium",
        "Skipped: it is not here: pip install bids-validator-deno",
        "Skipped: data/real is not here",
    ]

    assert closing_line(reasons) == (
        "4 tests skipped for want of programs: apt-get install chromium dcmtk; "
        "pip install bids-validator-deno"
    )
    assert closing_line(["Skipped: data/real is not here"]) == ""


@pytest.fixture
def machine(tmp_path):
    """A folder of programs: a root user, and an apt-get that lacks one package."""
    for name in ("sh", "env"):
        (tmp_path / name).symlink_to(shutil.which(name))
    fakes = {
        "id": "echo ${FAKE_USER:-0}",
        "apt-get": f'echo "$@" >> {tmp_path}/log; case "$*" in *dicom3tools) exit 100;; esac',
        "dcmdump": "",
    }
    for name, line in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def install(machine, **environment):
    return subprocess.run(
        [shutil.which("sh"), str(ROOT / ".ci" / "programs")],
        env={"PATH": str(machine)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell here")
def test_missing_packages_are_installed_and_a_failure_is_told(machine):
    done = install(machine)

    assert (done.returncode, done.stderr) == (0, "")
    asked = (machine / "log").read_text().splitlines()
    assert asked[0].startswith("update")
    packages = [line.split()[-1] for line in asked[1:]]
    assert "dicom3tools" in packages
    assert "dcmtk" not in packages  # it is there
    assert done.stdout == "not installed: dicom3tools; the tests that use it are skipped\n"


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell here")
def test_other_users_install_nothing(machine):
    assert install(machine, FAKE_USER="1000").returncode == 0
    assert not (machine / "log").exists()
