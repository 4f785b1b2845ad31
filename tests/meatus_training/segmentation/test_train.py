import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus_training.errors import TrainingError
from meatus_training.runs.launch import make_fabric, usable_precision
from meatus_training.segmentation.initial_weights import start_network
from meatus_training.segmentation.samples import SampleScans
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.segmentation.state import ema_update, start_state
from meatus_training.segmentation.step import set_rate, train_step
from meatus_training.segmentation.train import train_segmenter
from meatus_training.segmentation.windows import WindowSet, batches
from tests.meatus_training.segmentation.runs import (
    TINY,
    curve,
    silent,
    toy_samples,
    toy_scan,
    toy_scans,
    weights,
)


def trained(folder, settings=TINY, count=2, **how):
    fabric = make_fabric(accelerator="cpu", precision=settings.precision)
    scans = toy_scans(folder / "scans", count)
    return train_segmenter(scans, settings, folder / "run", fabric, say=silent, **how)


def after(calls):
    """Says stop when it is asked for the ``calls``-th time."""
    asked = itertools.count(1)
    return lambda: next(asked) >= calls


def dice(network, seed=9):
    """Of each structure of a scan that no training has seen."""
    voxels, labels = toy_scan(seed)
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(voxels[:8].astype(np.float32))[None, None])
    guess, truth = found[0].argmax(0).numpy(), labels[:8]
    sizes = [
        ((guess == n) & (truth == n), (guess == n).sum() + (truth == n).sum()) for n in (1, 2, 3)
    ]
    return [2 * both.sum() / total for both, total in sizes]


def test_networks_are_kept_on_the_way_as_they_are_then(tmp_path):
    kept, settings = {}, replace(TINY, steps=5, ema=0.5, keep_every=2)

    def keep(step, network):
        kept[step] = weights(network)

    last = trained(tmp_path / "a", settings, keep=keep)
    there = trained(tmp_path / "b", settings, should_stop=after(5))  # after four steps

    assert list(kept) == [2, 4]
    assert there.step == 4
    torch.testing.assert_close(weights(there.network), kept[4], rtol=0, atol=0)
    assert not torch.equal(kept[4], weights(last.network))


def test_a_tiny_network_learns_a_toy_scan(tmp_path):
    settings = replace(
        TINY, width=8, steps=110, warm_up=5, ema=0.8, full_field_fraction=0.6, batch=1, log_every=10
    )

    result = trained(tmp_path, settings)

    lines = curve(tmp_path / "run")
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert min(dice(result.network)) > 0.8
    assert (result.step, result.finished) == (110, True)


def test_a_run_that_stops_and_resumes_ends_as_one_that_does_not(tmp_path):
    whole = trained(tmp_path / "whole")

    first = trained(tmp_path / "parts", should_stop=after(4))
    parts = trained(tmp_path / "parts")

    assert (first.step, first.finished) == (3, False)
    torch.testing.assert_close(weights(parts.network), weights(whole.network), rtol=0, atol=1e-6)
    one, other = (curve(tmp_path / name / "run") for name in ("whole", "parts"))
    assert [line["step"] for line in other] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in other] == pytest.approx([line["loss"] for line in one])
    assert (tmp_path / "parts/run/pictures/step_0000003.png").exists()


def test_passes_add_up_to_the_batch(tmp_path):
    """Cross-entropy over voxels is the same in one pass of two windows as in two of one."""
    loss = replace(TINY.loss, mean_over="voxels")
    gradients = []
    for micro_batch in (1, 2):
        settings = replace(TINY, micro_batch=micro_batch, loss=loss, clip=1e9)
        state = start_state(settings, make_fabric(accelerator="cpu"), None)
        windows = WindowSet(toy_scans(tmp_path), settings, whole=False, augment=True)
        stepped = train_step(state, batches(windows, range(1)), settings, augment=False)
        gradients.append((weights_grad(state.network), stepped.losses[0]))

    (two, entropy_two), (one, entropy_one) = gradients
    assert entropy_one.item() == pytest.approx(entropy_two.item(), rel=1e-3)
    assert torch.nn.functional.cosine_similarity(one, two, dim=0) > 0.95, "the Dice differs a bit"


def weights_grad(network):
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_gradients_in_bfloat16_are_those_of_float32(tmp_path):
    """torch 2.13 returned NaN for some convolutions; the tolerance is bfloat16's 3 digits."""
    gradients = []
    for precision in ("bf16", "fp32"):
        settings = replace(TINY, width=8, blocks=2, clip=1e9, batch=1)
        state = start_state(settings, make_fabric(accelerator="cpu", precision=precision), None)
        windows = WindowSet(toy_scans(tmp_path), settings, whole=False, augment=True)
        assert train_step(state, batches(windows, range(1)), settings, augment=False).finite
        gradients.append(weights_grad(state.network))

    assert torch.isfinite(gradients[0]).all()
    if usable_precision("bf16", "cpu") == "bf16":
        assert not torch.equal(*gradients), "in lower precision indeed"
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.95


def test_windows_varied_on_the_device_are_those_of_the_readers(tmp_path):
    losses = []
    for late in (False, True):
        state = start_state(TINY, make_fabric(accelerator="cpu"), None)
        windows = WindowSet(toy_scans(tmp_path), TINY, whole=False, augment=not late)
        losses.append(train_step(state, batches(windows, range(1)), TINY, augment=late).losses)

    assert torch.equal(*losses)


def test_gradients_that_are_not_finite_change_nothing_and_many_end_the_training(tmp_path):
    samples = toy_samples(tmp_path / "scans")
    for sample in samples:
        np.save(sample.voxels, np.full((10, 32, 48), np.nan, np.float16))
    fabric = make_fabric(accelerator="cpu")
    state = start_state(TINY, fabric, None)
    before = weights(state.network)
    scans = SampleScans(samples)
    windows = WindowSet(scans, TINY, whole=False, augment=False)

    stepped = train_step(state, batches(windows, range(1)), TINY, augment=False)

    assert not stepped.finite
    assert torch.equal(weights(state.network), before)
    with pytest.raises(TrainingError, match="20 steps in a row"):
        train_segmenter(scans, replace(TINY, steps=99), tmp_path / "r", fabric, say=silent)


def test_the_rate_warms_up_and_falls_along_a_cosine():
    settings = replace(TINY, learning_rate=2.0, warm_up=4, last_rate=0.1)
    state = start_state(settings, make_fabric(accelerator="cpu"), None)

    def rate(step, done):
        set_rate(state, settings, step, done)
        return state.optimiser.param_groups[0]["lr"]

    assert rate(0, 0) == pytest.approx(0.5)
    assert rate(10, 0.5) == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert rate(10, 1) == pytest.approx(0.2)


def test_minutes_end_a_training_and_the_rate_has_run_its_course(tmp_path, monkeypatch):
    ticks = itertools.count()  # every look at the clock takes a second
    monkeypatch.setattr("meatus_training.segmentation.step.monotonic", lambda: float(next(ticks)))

    result = trained(tmp_path, replace(TINY, steps=0, minutes=0.5))

    lines = curve(tmp_path / "run")
    assert result.finished
    assert lines[-1]["rate"] < 0.3 * lines[0]["rate"]
    assert lines[-1]["seconds"] <= 32


def test_epochs_count_windows_of_every_scan(tmp_path):
    result = trained(tmp_path, replace(TINY, steps=0, epochs=2, batch=3), count=4)

    assert result.step == 3  # two epochs of four windows in steps of three


def test_other_settings_or_scans_do_not_go_on_from_a_checkpoint(tmp_path):
    trained(tmp_path, should_stop=after(2))

    with pytest.raises(TrainingError, match="learning_rate"):
        trained(tmp_path, replace(TINY, learning_rate=1.0))
    with pytest.raises(TrainingError, match="other scans"):
        trained(tmp_path, count=3)
    assert trained(tmp_path, replace(TINY, workers=1, log_every=2)).finished


def test_a_state_with_the_settings_names_of_before_goes_on_to_the_same_network(tmp_path):
    whole = trained(tmp_path / "whole")
    trained(tmp_path, should_stop=after(2))
    file = tmp_path / "run/state.pt"
    before = torch.load(file, weights_only=True)
    former = {new: old for old, new in SegmentSettings.FORMER_KEYS.items()}
    before["settings"] = {former.get(key, key): v for key, v in before["settings"].items()}
    assert {"at_once", "near_structures", "whole_share"} <= before["settings"].keys()
    torch.save(before, file)

    result = trained(tmp_path)

    assert torch.equal(weights(result.network), weights(whole.network))


def test_the_average_moves_as_it_did_before(tmp_path):
    state = start_state(TINY, make_fabric(accelerator="cpu"), None)
    expected = [p.detach().clone() for p in state.average.parameters()]
    with torch.no_grad():
        for parameter, mean in zip(state.network.parameters(), expected, strict=True):
            parameter.add_(torch.randn_like(parameter))
            mean.lerp_(parameter, 1 - 0.9)

    ema_update(state, 0.9)

    assert all(
        torch.equal(*pair) for pair in zip(state.average.parameters(), expected, strict=True)
    )


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/state.pt").write_bytes(b"half a file")

    with pytest.raises(TrainingError, match=r"state\.pt is not a whole checkpoint"):
        trained(tmp_path)


def test_thin_windows_in_lower_precision_are_refused_on_a_processor(tmp_path):
    with pytest.raises(TrainingError, match="4 slices may hang"):
        trained(tmp_path, replace(TINY, patch=(4, 32, 32), precision="bf16"))


def test_the_first_answer_of_a_fresh_network_is_background():
    with torch.no_grad():
        labels = start_network(TINY)(torch.rand(1, 1, 8, 32, 32) * 2 - 1).argmax(1)

    assert (labels == 0).float().mean() > 0.9


def test_a_training_may_begin_with_the_weights_of_another(tmp_path):
    other = start_network(replace(TINY, seed=77))

    state = start_state(TINY, make_fabric(accelerator="cpu"), other)

    assert torch.equal(weights(state.network), weights(other))
    assert torch.equal(weights(state.average), weights(other))


def test_a_gpu_that_is_full_is_told_with_what_to_do(tmp_path, monkeypatch):
    def full(*_given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("meatus_training.segmentation.train.train_step", full)
    with pytest.raises(TrainingError, match=r"does not hold a step.*smaller micro_batch"):
        train_segmenter(
            toy_scans(tmp_path / "scans"),
            TINY,
            tmp_path / "run",
            make_fabric(accelerator="cpu"),
            say=silent,
        )
