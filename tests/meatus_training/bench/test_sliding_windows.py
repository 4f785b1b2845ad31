import pytest
import torch

from meatus_training.bench.sliding_windows import OTHERS, Program, time_program

MONAI, NNUNET = OTHERS


@pytest.mark.parametrize(
    ("program", "windows"),
    # Of 4 x 16 x 16 over 8 x 16 x 16: MONAI's overlap by a quarter, three along z; nnU-Net's by
    # half, three too, each with eight mirrors.
    [(MONAI, 3), (NNUNET, 3 * 8)],
)
def test_a_program_moves_the_network_over_the_scan_as_it_says(program, windows):
    if missing := program.missing():
        pytest.skip(missing)

    seconds, shown = time_program(program, torch.rand(8, 16, 16), (4, 16, 16), 100)

    assert shown == windows
    assert 100 * windows < seconds < 100 * windows + 60


def test_a_missing_program_says_how_to_install_it():
    absent = Program("Absent", "", "no_such_module", "absent-package", lambda *_: lambda _: None)

    assert absent.missing().endswith("pip install absent-package")


def test_a_warm_up_of_one_window_goes_before_the_scan_and_does_not_count():
    seen = []

    def prepare(network, window):
        def label(scan):
            seen.append(scan.shape)
            return network(scan[None, None])

        return label

    program = Program("It", "", "torch", "torch", prepare)

    _, windows = time_program(program, torch.zeros(8, 20, 20), (4, 16, 16), 1.0)

    assert seen == [(4, 16, 16), (8, 20, 20)]
    assert windows == 1
