import pytest
import torch

from meatus_training.bench.sliding_windows import OTHERS, Program, time_program

MONAI, NNUNET = OTHERS


class Counting(torch.nn.Module):
    """Four classes of equal score; counts its windows."""

    def __init__(self):
        super().__init__()
        self.windows = 0

    def forward(self, window):
        self.windows += 1
        return torch.zeros(window.shape[0], 4, *window.shape[2:])


@pytest.mark.parametrize(
    ("program", "windows"),
    # Of 4 x 16 x 16 over 8 x 16 x 16: MONAI's overlap by a quarter, three along z; nnU-Net's by
    # half, three too, each with eight mirrors. One window of warm-up.
    [(MONAI, 3 + 1), (NNUNET, (3 + 1) * 8)],
)
def test_a_program_moves_the_network_over_the_scan_as_it_says(program, windows):
    if missing := program.missing():
        pytest.skip(missing)
    network = Counting()

    seconds = time_program(program, network, torch.rand(8, 16, 16), (4, 16, 16))

    assert seconds > 0
    assert network.windows == windows


def test_a_missing_program_says_how_to_install_it():
    absent = Program("Absent", "", "no_such_module", "absent-package", lambda *_: lambda _: None)

    assert absent.missing().endswith("pip install absent-package")


def test_a_warm_up_of_one_window_goes_before_the_scan():
    seen = []
    program = Program("It", "", "torch", "torch", lambda *_: lambda scan: seen.append(scan.shape))

    time_program(program, torch.nn.Identity(), torch.zeros(8, 20, 20), (4, 16, 16))

    assert seen == [(4, 16, 16), (8, 20, 20)]
