"""Small label maps in files, for the tests of the commands."""

import gzip

import numpy as np
from click.testing import CliRunner

from meatus.cli import main
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels

GRID = Geometry((20, 20, 4), (0.5, 0.5, 1.5), (0, 0, 0))
TRUTH = {1: np.s_[1:3, 5:10, 5:9], 2: np.s_[1:3, 5:10, 9:12], 3: np.s_[1:3, 2:4, 2:4]}

MHA = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
    "ElementSpacing = 0.5 0.5 1.5\nDimSize = 20 20 4\nElementType = MET_FLOAT\n"
    "ElementDataFile = LOCAL\n"
)


def save(file, boxes=TRUTH, grid=GRID):
    """A label map with one (Z, Y, X) box per label; its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for label, box in boxes.items():
        voxels[box] = label
    write_labels(Labels(voxels, grid), file)
    return file


def save_value(file, value):
    """A map of ``GRID`` that holds one voxel of any number, as .mha."""
    values = np.zeros(GRID.shape, dtype="<f4")
    values[0, 0, 0] = value
    file.write_bytes(MHA.encode() + values.tobytes())
    return file


def save_damaged(file):
    file.write_bytes(gzip.compress(b"no NIfTI header")[:-4])
    return file


def run(*arguments):
    """A command of ``meatus`` that this package adds."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ends_in_one_line(done, code, *words):
    """Whether it ended with ``code`` and a single line on stderr that has all ``words``."""
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    return True
