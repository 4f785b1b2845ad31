"""Whatever becomes of stdout and stderr, the work is done; lost lines are told once."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meatus.service.steady_streams import SteadyStream, like_stderr, steady_streams
from tests.meatus.tiny_runs import ROOT, command, run, save_scan, write_weights
from tests.meatus_evaluation.label_maps import TRUTH, save

# A command that says some lines with characters of many alphabets, and counts its work.
SPEAK = """
import sys
from pathlib import Path
from meatus.service.steady_streams import steady_streams

with steady_streams():
    for number in range(2000):
        print(number, "\\u00b1 \\u8033 \\udc80")
        print("warning", number, "\\u8033", file=sys.stderr)
        Path(sys.argv[1]).write_text(str(number))
    sys.exit(int(sys.argv[2]))
"""
LAST = "1999"


def speak(folder, redirected, code=0, **environment):
    """The exit code under a shell's ``redirected``, stderr, and how far the work went."""
    script = f'"$0" -c "$1" "$2" {code} {redirected}'
    work = folder / "work"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}", sys.executable, SPEAK, str(work)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stderr.decode(errors="replace"), work.read_text()


LOST = "error: stdout could not be written ({}), so lines are missing there."


@pytest.mark.parametrize(
    ("redirected", "code", "last_line"),
    [
        ("> /dev/null", 0, None),
        (">&-", 0, None),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("> /dev/full", 1, LOST.format("No space left on device")),
        ("| head -1 > /dev/null", 1, LOST.format("Broken pipe")),
        ("2> /dev/full", 1, ""),
        ("> /dev/full 2> /dev/full", 1, ""),
    ],
)
def test_the_work_is_done_and_a_lost_stream_told_once(tmp_path, redirected, code, last_line):
    done, errors, work = speak(tmp_path, redirected)

    assert (done, work) == (code, LAST)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    if last_line is not None:
        assert errors.splitlines()[-1:] == ([last_line] if last_line else [])


def test_a_failure_keeps_its_own_exit_code(tmp_path):
    assert speak(tmp_path, "> /dev/full", code=2)[0] == 2
    assert speak(tmp_path, "> /dev/null", code=2)[0] == 2


def test_a_lost_stderr_is_told_on_stdout(tmp_path):
    done, errors, _ = speak(tmp_path, "2> /dev/full | tail -1 >&2")

    assert done == 1
    assert errors == "" or "stderr could not be written" in errors  # bash's stderr may be lost too


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_an_encoding_cannot_show_is_replaced(tmp_path, encoding):
    done, errors, work = speak(tmp_path, "> /dev/null", PYTHONIOENCODING=encoding)

    assert (done, work) == (0, LAST)
    assert errors.splitlines()[0].startswith("warning 0 ")


def test_streams_are_put_back_and_end_with_the_block():
    before = sys.stdout, sys.stderr
    with steady_streams():
        assert isinstance(sys.stdout, SteadyStream)
        assert isinstance(like_stderr(io.StringIO()), SteadyStream)

    assert (sys.stdout, sys.stderr) == before


def test_every_command_of_the_program_speaks_through_them(tmp_path):
    """A table with a sign that ASCII lacks; a reader that goes away; a full disk."""
    for folder in ("found", "truth"):
        save(tmp_path / folder / f"crossmoda2023_ldn_1{'_Label' * (folder == 'truth')}.nii.gz")
        save(
            tmp_path / folder / f"crossmoda2023_ldn_2{'_Label' * (folder == 'truth')}.nii.gz",
            TRUTH if folder == "truth" else {**TRUTH, 3: np.s_[1:2, 2:4, 2:4]},
        )
    score = ("score", tmp_path / "found", tmp_path / "truth", "--csv", tmp_path / "scores.csv")

    narrow = run(*score, PYTHONIOENCODING="ascii")
    full = run(*score, wrapper=("bash", "-c", '"$0" "$@" > /dev/full'))

    assert (narrow.returncode, narrow.stderr) == (0, "")
    assert "?" in narrow.stdout
    assert full.returncode == 1
    assert full.stderr == LOST.format("No space left on device") + "\n"
    assert (tmp_path / "scores.csv").read_text().count("\n") > 2


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for number in range(3):
        save_scan(folder / f"case{number}_T2.nii.gz", seed=number)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize(
    ("redirected", "code"),
    [("> /dev/full", 1), ("2> /dev/full", 0), (">&- 2>&-", 0), ("| head -1 > /dev/null", 1)],
)
def test_labelling_goes_on_without_a_log(tmp_path, scans, weights, redirected, code):
    arguments = command(
        "predict", scans, tmp_path / "out", "--weights", weights, "--quality", "fast"
    )
    script = f'set -o pipefail; "$0" "$@" {redirected}'

    done = subprocess.run(
        ["bash", "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(Path(tmp_path / "out").glob("*.nii.gz"))) == 3
