import numpy as np
import torch
from PIL import Image

from meatus_training.dataset import Sample
from meatus_training.translation.scans import digest_of, with_padding, write_view


def test_a_digest_changes_with_any_weight():
    network = torch.nn.Linear(2, 2)
    before = digest_of(network)
    with torch.no_grad():
        network.bias[0] += 1

    assert len(before) == 16
    assert digest_of(network) != before


def test_a_view_shows_scan_translation_and_outlines_side_by_side(tmp_path):
    voxels, labels = np.zeros((4, 6, 8), np.float16), np.zeros((4, 6, 8), np.uint8)
    labels[2, 2:4, 3:6] = 1

    write_view(tmp_path / "view.png", Sample(voxels, labels), voxels)

    with Image.open(tmp_path / "view.png") as picture:
        assert picture.size == (3 * 8, 6 + 4)


def test_padding_is_black_and_what_is_black_in_some_slices_stays_as_translated():
    voxels = np.zeros((3, 4, 5), np.float16)
    voxels[:, :, 4] = -1  # padding
    voxels[1, 2] = -1  # air between two slices of a head
    translated = np.full(voxels.shape, 0.5, np.float16)

    found = with_padding(translated, voxels)

    assert (found[:, :, 4] == -1).all()
    assert (found[:, :, :4] == 0.5).all()
    assert found.dtype == np.float16
