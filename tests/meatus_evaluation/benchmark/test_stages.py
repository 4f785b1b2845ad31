from meatus.io.images import read_scan
from meatus.pipeline import load_model
from meatus_evaluation.benchmark.stages import StageTimes, time_stages
from tests.meatus.tiny_runs import save_scan, write_weights


def test_all_stages_from_file_to_file_are_timed(tmp_path):
    (tmp_path / "weights").mkdir()
    model = load_model(write_weights(tmp_path / "weights"), device="cpu")
    scan = save_scan(tmp_path / "a_T2.nii.gz")

    times = time_stages(scan, model, 1)

    assert {"read", "network", "write"} <= times.seconds.keys()
    assert read_scan(scan).voxels.size
    assert times.total > 0


def test_all_but_the_network_is_the_rest():
    times = StageTimes({"read": 1.0, "network": 5.0, "write": 0.5}, None)

    assert (times.total, times.other) == (6.5, 1.5)
