"""Files made from sound scans by damage at random are read soundly or refused in one line.

The files are numbered: number n is always the same file. ``MEATUS_FUZZ_FILES`` sets how many
are tried, ``mutant(n)`` makes the n-th to look at.
"""

import faulthandler
import gzip
import os
import re
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from meatus.errors import ScanError
from meatus.io.images import read_scan, write_labels
from tests.meatus.scan_files import GREY, TILTED, labels_of

ROOT = Path(__file__).resolve().parents[2]
FILES = int(os.environ.get("MEATUS_FUZZ_FILES", "2000"))
LIMIT_S = 60  # for one file; it takes milliseconds

# Files that once broke this reader, or nibabel's or SimpleITK's where it used them.
REMEMBERED = {
    27: "takes memory for what the header claims",
    467: "10 mm voxels, slightly more once their oblique axes are rounded",
    582: "warns of an infinite sform",
    926: "OverflowError while mapping the file",
    1110: "OverflowError while reading",
    1545: "corrupts ITK's heap, which aborts the process",
}

EXTREME = (0, 1, -1, 2, 3, 127, 128, 255, -128, 32767, -32768, 65535, 2**31 - 1, -(2**31),
           2**32 - 1, 2**63 - 1, -(2**63))  # fmt: skip
EXTREME_FLOAT = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, -1e30, 3.4e38, np.nan, np.inf, -np.inf)
WORDS = (b"0", b"-1", b"nan", b"inf", b"1e400", b"1e-400", b"9" * 30, b"", b"none", b"(0,0,0)",
         b"True", b"LOCAL", b"0x10", b"1_0", b"\xff\xfe", b"raw", b"gzip", b"%s%n")  # fmt: skip

MHA = (
    b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    b"CompressedData = %s\nTransformMatrix = 0 0.6 0.8 1 0 0 0 0.8 -0.6\nOffset = 1 -2.5 30\n"
    b"CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\nElementSpacing = 0.4 0.5 1.5\n"
    b"DimSize = 20 18 5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
NRRD = (
    b"NRRD0004\n# a comment\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
    b"sizes: 20 18 5\nspace directions: (0,0.24,0.32) (0.5,0,0) (0,1.2,-0.9)\n"
    b"kinds: domain domain domain\nendian: little\nencoding: %s\nspace origin: (1,2,3)\n\n"
)


@cache
def sound_files():
    """Suffix, bytes before the voxels and bytes of the voxels; nothing is compressed yet."""
    files = []
    for image, header, dtype in (
        (nib.Nifti1Image, nib.Nifti1Header(), "<i2"),
        (nib.Nifti1Image, nib.Nifti1Header(), "<f4"),
        (nib.Nifti1Image, nib.Nifti1Header(endianness=">"), ">i2"),
        (nib.Nifti2Image, nib.Nifti2Header(), "<i2"),
    ):
        data = image(GREY.astype(dtype), TILTED, header).to_bytes()
        start = len(data) - GREY.size * np.dtype(dtype).itemsize
        files += [(suffix, data[:start], data[start:]) for suffix in (".nii", ".nii.gz")]
    voxels = GREY.T.astype("<i2").tobytes()
    files += [(".mha", MHA % b"False", voxels), (".mha", MHA % b"True", voxels)]
    files += [(".nrrd", NRRD % b"raw", voxels), (".nrrd", NRRD % b"gzip", voxels)]
    return files


def mutant(number):
    """Suffix and contents of the numbered file."""
    rng = np.random.default_rng(number)
    files = sound_files()
    suffix, head, voxels = files[number % len(files)]
    mutations = TEXT_MUTATIONS if suffix in (".mha", ".nrrd") else BINARY_MUTATIONS
    place = rng.choice(["head", "voxels", "whole"], p=[0.7, 0.1, 0.2])
    times = int(rng.integers(1, 4))
    if place == "head":
        head = repeat(rng.choice(mutations), times, rng, head)
    elif place == "voxels":
        voxels = repeat(rng.choice(ANY_MUTATIONS), times, rng, voxels)
    if b"CompressedData = True" in head:
        voxels = zlib.compress(voxels)
    elif b"encoding: gzip" in head:
        voxels = gzip.compress(voxels, mtime=0)
    data = head + voxels
    data = gzip.compress(data, mtime=0) if suffix == ".nii.gz" else data
    return suffix, repeat(rng.choice(ANY_MUTATIONS), times, rng, data) if place == "whole" else data


def repeat(mutate, times, rng, data):
    for _ in range(times):
        data = mutate(rng, data)
    return data


def span(rng, data):
    start = int(rng.integers(0, len(data) + 1))
    return start, min(len(data), start + int(rng.geometric(0.05)))


def flip_bits(rng, data):
    changed = bytearray(data)
    for at in rng.integers(0, max(len(data), 1), int(rng.geometric(0.3)))[: len(data)]:
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(rng, data):
    return data[: rng.integers(0, len(data) + 1)]


def splice_noise(rng, data):
    start, end = span(rng, data)
    return data[:start] + rng.bytes(end - start) + data[end if rng.random() < 0.5 else start :]


def take_out(rng, data):
    start, end = span(rng, data)
    return data[:start] + data[end:]


def splice_other(rng, data):
    """Bytes of another sound file, in place of those at the same place."""
    files = sound_files()
    _, head, voxels = files[rng.integers(len(files))]
    start, end = span(rng, data)
    return data[:start] + (head + voxels)[start:end] + data[end:]


def overwrite_field(rng, data):
    """An extreme number, of the width and at the alignment that header fields have."""
    order, kind = rng.choice(["<", ">"]), str(rng.choice(list("bhiqfd")))
    if kind in "fd":
        number = float(rng.choice(EXTREME_FLOAT))
        field = struct.pack(order + kind, number)
    else:
        width = struct.calcsize("<" + kind)
        number = EXTREME[rng.integers(len(EXTREME))] & (2 ** (8 * width) - 1)
        field = number.to_bytes(width, "little" if order == "<" else "big")
    at = int(rng.integers(0, max(len(data), 1))) // len(field) * len(field)
    return data[:at] + field + data[at + len(field) :]


def swap_word(rng, data):
    words = list(re.finditer(rb"[^\s,()=:]+", data))
    if not words:
        return data
    word = words[rng.integers(len(words))]
    return data[: word.start()] + WORDS[rng.integers(len(WORDS))] + data[word.end() :]


def swap_lines(rng, data):
    """Leave out, double or exchange lines."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, other = rng.integers(0, len(lines), 2)
    kind = rng.integers(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


ANY_MUTATIONS = [flip_bits, cut, splice_noise, take_out, splice_other, overwrite_field]
BINARY_MUTATIONS = [*ANY_MUTATIONS, *[overwrite_field] * 6, flip_bits]
TEXT_MUTATIONS = [*ANY_MUTATIONS, *[swap_word] * 8, swap_lines, swap_lines]


def outcome(number, folder):
    """ "read" or "refused"; raises where a file is neither."""
    suffix, data = mutant(number)
    path = folder / f"mutant{suffix}"
    path.write_bytes(data)
    scan, refusal = None, f"{path}: "
    try:
        scan = read_scan(path)
    except ScanError as error:
        refusal = str(error)
    assert refusal.startswith(f"{path}: "), refusal
    assert refusal.isprintable(), refusal
    if scan is None:
        return "refused"
    check_sound(scan)
    labels = labels_of(scan)
    for result in (folder / f"result{suffix}", folder / "result.nii.gz"):
        write_labels(labels, result)
        back = read_scan(result)
        np.testing.assert_array_equal(back.voxels, labels.voxels)
        for index in ((0, 0, 0), tuple(count - 1 for count in scan.geometry.size)):
            there, here = (grid.position_mm(index) for grid in (back.geometry, scan.geometry))
            np.testing.assert_allclose(there, here, atol=2e-3)  # single precision, 10 m away
    return "read"


def check_sound(scan):
    geometry = scan.geometry
    assert scan.voxels.shape == geometry.shape
    assert scan.voxels.dtype == np.float32
    assert np.isfinite(scan.voxels).all()
    assert all(0.0499 < width < 10.0001 for width in geometry.spacing_mm)
    assert np.isfinite(geometry.origin_mm).all()
    np.testing.assert_allclose(geometry.axes.T @ geometry.axes, np.eye(3), atol=1e-9)
    assert all("\n" not in warning for warning in scan.warnings)


def work(first, last, folder):
    """Try the files numbered ``first`` up to ``last``; tell of each before and after."""
    for number in range(first, last):
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        print(number, end=" ", flush=True)
        print(outcome(number, Path(folder)), flush=True)
    faulthandler.cancel_dump_traceback_later()


def test_damage_at_random_is_read_soundly_or_refused_in_a_line(tmp_path):
    code = f"from tests.meatus.test_fuzz import work; work(0, {FILES}, {str(tmp_path)!r})"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, ""), f"file {lines[-1]}: {done.stderr[-3000:]}"
    assert len(lines) == FILES
    for word in ("read", "refused"):  # or the damage would be too coarse or too slight
        assert sum(line.endswith(word) for line in lines) > FILES / 5


def test_a_numbered_file_is_always_the_same():
    assert [mutant(number) for number in range(40)] == [mutant(number) for number in range(40)]


@pytest.mark.parametrize("number", REMEMBERED, ids=REMEMBERED.get)
def test_a_file_that_once_broke_the_reader_is_read_or_refused(tmp_path, number):
    assert outcome(number, tmp_path) in ("read", "refused")
