import numpy as np
import torch

from meatus.geometry import Geometry
from meatus_phantom.space import KNOTS, Space, canonical, draw_space, place

CPU = torch.device("cpu")
MEAN = Space(np.eye(3), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.zeros((3,) + (KNOTS,) * 3, np.float32))


def test_the_canonical_frame_has_y_to_the_front():
    grid = Geometry((3, 3, 3), (1.0, 2.0, 4.0), (10.0, 20.0, 30.0))

    points = canonical(grid, MEAN, CPU)

    # LPS runs to the back along y, the canonical frame to the front.
    assert points[:, 0, 0, 0].tolist() == [10, -20, 30]
    assert points[:, 2, 1, 1].tolist() == [11, -22, 38]


def test_a_larger_head_is_nearer_to_the_mean_heads_centre():
    grid = Geometry((1, 1, 1), (1.0, 1.0, 1.0), (11.0, -22.0, 33.0))
    large = Space(MEAN.turn, (0.0, 0.0, 0.0), (1.1, 1.1, 1.1), MEAN.knots)

    torch.testing.assert_close(
        canonical(grid, large, CPU)[:, 0, 0, 0], torch.tensor([10.0, 20.0, 30.0])
    )


def test_a_place_in_the_mean_head_is_found_again_in_the_scan():
    wanted = np.array([[25.0, 0.0, 0.0], [-37.0, 7.0, -1.0], [0.0, 60.0, 30.0]])

    for seed in range(5):
        space = draw_space(seed)
        for head, scanner in zip(wanted, place(wanted, space), strict=True):
            x, y, z = scanner
            # A warp is joined linearly between its points: exact on a grid of one voxel.
            one = Geometry((1, 1, 1), (1.0, 1.0, 1.0), (x, -y, z))
            found = canonical(one, space, CPU)[:, 0, 0, 0].numpy()
            np.testing.assert_allclose(found, head, atol=0.02)


def test_a_subject_is_moved_by_some_millimetres_not_centimetres():
    ears = np.array([[25.0, 0.0, 0.0], [-25.0, 0.0, 0.0]])

    moved = np.array([place(ears, draw_space(seed)) - ears for seed in range(40)])

    spread = moved.std(axis=(0, 1))
    assert (spread > 0.8).all()
    assert (spread < 10).all()
