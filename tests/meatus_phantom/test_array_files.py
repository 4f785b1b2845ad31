import io

import numpy as np

from meatus_phantom.array_files import array_bytes
from meatus_phantom.entry_points import commands
from meatus_phantom.progress import progress


def test_an_array_comes_back_in_c_order():
    voxels = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))

    found = np.load(io.BytesIO(array_bytes(voxels)))

    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, voxels)


def test_progress_counts_lines_where_there_is_no_terminal(capsys):
    with progress(2) as told:
        told("a")
        told("b")

    assert capsys.readouterr().out == "[1/2] a\n[2/2] b\n"


def test_one_group_of_commands_is_offered():
    assert [group.name for group in commands] == ["phantom"]
