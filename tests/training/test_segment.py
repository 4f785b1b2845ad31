import json

import numpy as np
import pytest
import torch

from inference.geometry import Geometry
from inference.images import write_labels
from inference.spec import PhysicalCrop
from inference.volumes import Labels
from tests.inference.specs import make_spec
from training.augment import augment
from training.config import SegmentConfig, spec_for
from training.dataset import Sample, draw_window, load_samples
from training.errors import TrainingError
from training.segment import draw_batch, start_network, train_segmenter

TINY = SegmentConfig(
    width=4, blocks=1, depth=8, patch=(8, 32, 32), steps=4, save_every=2, warm_up=1, whole_share=0.5
)


def sample(seed=0, shape=(10, 48, 64)):
    """A bright cube (cochlea) in noise."""
    draw = np.random.default_rng(seed)
    voxels = draw.uniform(-1, 0, shape).astype(np.float16)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[3:6, 20:28, 30:38] = 3
    voxels[labels == 3] = 0.8
    return Sample(voxels, labels)


def test_training_lowers_the_loss_and_writes_its_curve(tmp_path):
    config = SegmentConfig(
        width=4, blocks=1, depth=8, patch=(8, 32, 32), steps=100, save_every=25, warm_up=5
    )
    network = train_segmenter([sample(), sample(1)], config, tmp_path, lambda _: None)

    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "curve.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < 0.7 * losses[0]
    voxels = torch.from_numpy(sample(2).voxels[:8].astype(np.float32))[None, None]
    with torch.no_grad():
        inside = network(voxels)[0].argmax(0)[3:6, 20:28, 30:38]
    assert (inside == 3).float().mean() > 0.5


def test_a_run_that_stops_and_resumes_ends_as_one_that_does_not(tmp_path):
    samples = [sample(), sample(1)]
    whole = train_segmenter(samples, TINY, tmp_path / "whole", lambda _: None)

    class StoppedError(Exception):
        pass

    def stop(_line):
        raise StoppedError

    with pytest.raises(StoppedError):
        train_segmenter(samples, TINY, tmp_path / "parts", stop)
    parts = train_segmenter(samples, TINY, tmp_path / "parts", lambda _: None)

    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_in_bfloat16_are_those_of_float32():
    """torch 2.13 returned NaN for some convolutions; the tolerance is bfloat16's 3 digits."""
    config = SegmentConfig(width=8, blocks=2, depth=8, patch=(8, 64, 64))
    voxels, labels = draw_batch([sample(shape=(10, 80, 80))], config, 0)
    gradients = []
    for enabled in (True, False):
        network = start_network(config)
        torch.manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = network.forward_deep(voxels)
        torch.nn.functional.cross_entropy(logits[0].float(), labels).backward()
        weights = [p.grad.flatten() for n, p in network.named_parameters() if p.grad is not None]
        gradients.append(torch.cat(weights))

    half, full = gradients
    assert torch.isfinite(half).all()
    assert torch.nn.functional.cosine_similarity(half, full, dim=0) > 0.99


def test_the_first_answer_of_a_fresh_network_is_background():
    network = start_network(TINY)
    with torch.no_grad():
        labels = network(torch.rand(1, 1, 8, 32, 32) * 2 - 1).argmax(1)

    assert (labels == 0).float().mean() > 0.9


def test_the_same_step_draws_the_same_window():
    first, again, other = (draw_batch([sample()], TINY, step)[0] for step in (3, 3, 4))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_windows_near_structures_hold_them():
    draw = np.random.default_rng(0)
    held = [draw_window(sample(), (8, 32, 32), 1.0, draw)[1].any() for _ in range(20)]

    assert all(held)


def test_a_sample_smaller_than_the_window_lies_in_the_middle_of_black():
    small = Sample(np.ones((4, 30, 30), np.float16), np.ones((4, 30, 30), np.uint8))
    voxels, labels = draw_window(small, (8, 32, 32), 0.0, np.random.default_rng(0))

    assert (voxels[:2] == -1).all()
    assert (voxels[2:6, 1:31, 1:31] == 1).all()
    assert labels.sum() == 4 * 30 * 30


def test_augmentation_keeps_labels_on_their_voxels_and_padding_black():
    one = sample()
    for seed in range(20):
        voxels = one.voxels.astype(np.float32)
        voxels[0] = -1
        image, labels = augment(voxels, one.labels, np.random.default_rng(seed))
        assert image.min() >= -1
        assert image.max() <= 1
        assert (image == -1).all(axis=(1, 2)).any()
        if (labels == 3).any():
            assert image[labels == 3].mean() > image[labels == 0].mean()


def test_samples_are_prepared_once_and_labels_stay_on_their_structure(tmp_path):
    grid = Geometry((64, 64, 8), (1.0, 1.0, 1.5), (0, 0, 0))
    voxels = np.full(grid.shape, 100, np.uint8)
    voxels[:, ::2] = 90
    voxels[:, :4] = voxels[:, -4:] = voxels[..., :4] = voxels[..., -4:] = 0
    labels = np.zeros(grid.shape, np.uint8)
    labels[3:5, 30:38, 40:48] = 2
    voxels[labels == 2] = 250
    write_labels(Labels(voxels, grid), tmp_path / "p_T2.nii.gz")
    write_labels(Labels(labels, grid), tmp_path / "p_Label.nii.gz")
    spec = make_spec(crop=PhysicalCrop(size=(48, 48), spacing_mm=1.3))

    (loaded,) = load_samples(tmp_path, tmp_path, tmp_path / "cache", spec, 1)

    assert loaded.voxels.shape == loaded.labels.shape == (8, 48, 48)
    marked = loaded.voxels[loaded.labels == 2]
    assert marked.mean() > 0.8
    volume = (loaded.labels == 2).sum() * 1.3 * 1.3 * 1.5
    assert volume == pytest.approx(2 * 8 * 8 * 1.5, rel=0.2)
    (tmp_path / "p_Label.nii.gz").unlink()
    assert len(load_samples(tmp_path, tmp_path, tmp_path / "cache", spec, 1)) == 1  # from the cache


def test_a_scan_without_labels_is_named(tmp_path):
    grid = Geometry((32, 32, 4), (1, 1, 1), (0, 0, 0))
    write_labels(Labels(np.ones(grid.shape, np.uint8), grid), tmp_path / "p_T2.nii.gz")

    with pytest.raises(TrainingError, match=r"p_Label\.nii\.gz"):
        load_samples(tmp_path, tmp_path, tmp_path / "cache", make_spec(), 1)
    with pytest.raises(TrainingError, match="no \\*_T2"):
        load_samples(tmp_path / "cache", tmp_path, tmp_path / "cache", make_spec(), 1)


def test_the_spec_says_what_the_training_used():
    spec = spec_for(TINY, "a", "phantoms", "2026-01-01")

    assert (spec.window.depth, spec.width, spec.blocks) == (8, 4, 1)
    assert spec.crop.rule == "physical"
    assert spec_for(SegmentConfig(rule="reference"), "r", "", "").crop.rule == "reference"
