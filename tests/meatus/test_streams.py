"""What is no regular file, changes meanwhile or claims too much neither hangs nor takes memory."""

import gzip
import os
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import ScanError
from meatus.io.headers import MOST_VOXELS
from meatus.io.images import read_scan
from tests.meatus.hostile_files import contents
from tests.meatus.scan_files import GREY, oblique, save

ROOT = Path(__file__).resolve().parents[2]


def special(folder, kind):
    path = folder / "scan.nii.gz"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # a socket's name may have 100 characters
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling link":
        path.symlink_to(folder / "gone.nii.gz")
    elif kind == "link in a circle":
        path.symlink_to(path)
    return path


SPECIAL = {
    "folder": "a folder",
    "pipe": "a pipe",
    "socket": "a pipe, socket",
    "device": "device",
    "dangling link": "link points to cannot be read .No such file",
    "link in a circle": "link points to cannot be read .Too many levels",
    "nothing": "the file cannot be read .No such file",
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_only_regular_files_are_read_and_nothing_waits(tmp_path, kind):
    with pytest.raises(ScanError, match=rf"scan\.nii\.gz: .*{SPECIAL[kind]}"):
        read_scan(special(tmp_path, kind))


def test_a_link_to_a_scan_is_followed(tmp_path):
    (tmp_path / "link.nii.gz").symlink_to(save(tmp_path / "scan.nii.gz"))

    np.testing.assert_array_equal(read_scan(tmp_path / "link.nii.gz").voxels, GREY.T)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "scan.nii.gz")

    def refuse(*_):  # the test's user may be root, who may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ScanError, match=r"scan\.nii\.gz: .*Permission denied.*this user"):
        read_scan(path)


def test_a_pipe_that_takes_the_files_place_meanwhile_is_refused(tmp_path, monkeypatch):
    path, pipe = save(tmp_path / "scan.nii"), tmp_path / "pipe"
    os.mkfifo(pipe)
    really = os.open
    monkeypatch.setattr(os, "open", lambda _, flags: really(pipe, flags))

    with pytest.raises(ScanError, match="a pipe"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
def test_a_file_that_shrinks_while_it_is_read_is_cut_short(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(oblique(np.tile(GREY.T, (1, 5, 5))), path)  # more than a buffer holds
    really = np.empty

    def shrink(*args, **more):
        os.truncate(path, 900)
        return really(*args, **more)

    monkeypatch.setattr("meatus.io.streams.np.empty", shrink)
    with pytest.raises(ScanError, match="bytes of voxels; its header promises 90,000"):
        read_scan(path)


def test_a_name_that_would_break_the_line_is_quoted(tmp_path):
    with pytest.raises(ScanError) as caught:
        read_scan(contents("two\nlines.nii", b"x" * 400)(tmp_path))

    assert r"two\nlines.nii'" in str(caught.value)
    assert "\n" not in str(caught.value)


def nifti_head(size, dtype):
    header = nib.Nifti1Header()
    header.set_data_shape(size)
    header.set_data_dtype(dtype)
    header["vox_offset"], header["magic"], header["pixdim"][1:4] = 352, b"n+1", (0.4, 0.4, 1)
    return header.binaryblock + bytes(4)


MHA = b"""NDims = 3
BinaryData = True
CompressedData = True
ElementSpacing = 1 1 1
DimSize = 1024 1024 256
ElementType = MET_DOUBLE
ElementDataFile = LOCAL
"""
NRRD = b"""NRRD0004
type: double
dimension: 3
sizes: 1024 1024 256
spacings: 1 1 1
endian: little
encoding: gzip

"""
LARGEST = nifti_head((1024, 1024, 256), np.float64)
BOMBS = {
    "claim of gzip": ("scan.nii.gz", lambda: gzip.compress(LARGEST)),
    "claim of nii": ("scan.nii", lambda: LARGEST + bytes(2**20)),
    "claim of mha": ("scan.mha", lambda: MHA + zlib.compress(bytes(1000))),
    "claim of nrrd": ("scan.nrrd", lambda: NRRD + gzip.compress(bytes(1000))),
    # 2.1 MB could hold these 2.1 GB, but hold next to nothing.
    "claim of gzip, padded": ("scan.nii.gz", lambda: gzip.compress(LARGEST) + bytes(2_100_000)),
    "claim of mha, padded": ("scan.mha", lambda: MHA + zlib.compress(b"") + bytes(2_100_000)),
    # 300 MB of zeros where 3,600 bytes are needed.
    "longer than needed": (
        "scan.nii.gz",
        lambda: gzip.compress(
            nifti_head((20, 18, 5), np.int16) + GREY.T.tobytes() + bytes(300_000_000), 1
        ),
    ),
    "text without end": ("scan.mha", lambda: b"Comment = none\n" * 20_000_000),
    "header of one line": ("scan.nrrd", lambda: b"NRRD0004 " * 20_000_000),
}
READ = """
import resource, sys
from pathlib import Path
from meatus.errors import ScanError
from meatus.io.images import read_scan

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_scan(Path(sys.argv[1]))
    words = "read"
except ScanError as error:
    words = str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, words)
"""


def test_the_largest_claim_is_within_the_limit_on_voxels():
    assert MOST_VOXELS == 1024 * 1024 * 256  # or the bombs are refused for another reason


@pytest.mark.parametrize("kind", BOMBS)
def test_a_claim_takes_no_memory(tmp_path, kind):
    name, make = BOMBS[kind]
    path = contents(name, make())(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    path.unlink()

    kilobytes, words = done.stdout.split(maxsplit=1)
    assert int(kilobytes) < 16_000  # the claims are of 2 GB; the voxels would take 1 GB
    assert words.strip() == "read" if kind == "longer than needed" else "scan." in words
