import math
from functools import cache

import numpy as np
import pytest
import torch

from meatus_training.hard_examples import IGNORE, draw_edge, hard_negatives, hard_positives
from meatus_training.losses import SegLossSettings, dice_loss, seg_loss, voxel_weights
from tests.golden_files import GOLDEN

SETS = ("two_tumours", "empty", "single")
REFERENCE = SegLossSettings()
PRESENT = SegLossSettings(dice="present")


@cache
def golden():
    with np.load(GOLDEN / "segloss.npz") as file:
        return dict(file)


def golden_case(name, dtype):
    target = torch.from_numpy(golden()[f"{name}/target"])[:, 0]
    logits = [
        torch.from_numpy(golden()[f"logits{level}"])[: len(target)].to(dtype) for level in range(4)
    ]
    return logits, target


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance"),
    [(torch.float64, "f64", 1e-10), (torch.float32, "f32", 1e-5)],
)
def test_the_loss_is_that_of_the_published_code(name, dtype, suffix, tolerance):
    logits, target = golden_case(name, dtype)

    found = [
        (loss.entropy.item(), loss.dice.item())
        for loss in (seg_loss(logits, target, int(r), REFERENCE) for r in golden()["radii"])
    ]

    np.testing.assert_allclose(found, golden()[f"{name}/ce_dice_{suffix}"], rtol=tolerance)


@pytest.mark.parametrize("name", SETS)
def test_one_level_alone_is_the_loss_without_deep_supervision(name):
    logits, target = golden_case(name, torch.float64)

    found = [
        (loss.entropy.item(), loss.dice.item())
        for loss in (seg_loss(logits[:1], target, int(r), REFERENCE) for r in golden()["radii"])
    ]

    expected = golden()[f"{name}/ce_dice_f64_no_deep_supervision"]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("name", SETS)
def test_the_dice_of_each_level_is_that_of_the_published_code(name):
    logits, target = golden_case(name, torch.float64)

    found = [
        dice_loss(scores.softmax(1), target[..., :: 2**level, :: 2**level].long(), REFERENCE).item()
        for level, scores in enumerate(logits)
    ]

    np.testing.assert_allclose(found, golden()[f"{name}/dice_per_level_f64"], rtol=1e-10)


@pytest.mark.parametrize("edge", [7, 9, 11, 13, 15])
def test_the_hard_negatives_are_those_of_the_published_code(edge):
    target = torch.from_numpy(golden()["two_tumours/target"])[:, 0]

    np.testing.assert_array_equal(
        hard_negatives(target, edge).numpy(), golden()[f"two_tumours/hard_mask_{edge}"] > 0
    )


def test_the_gradients_are_those_of_the_published_code():
    logits, target = golden_case("two_tumours", torch.float32)
    logits = [scores.requires_grad_() for scores in logits]

    seg_loss(logits, target, 9, REFERENCE).total.backward()

    for level, scores in enumerate(logits):
        expected = golden()[f"two_tumours/grad_r9_level{level}"]
        np.testing.assert_allclose(scores.grad.numpy(), expected, rtol=0, atol=1e-6)


def test_half_precision_logits_cost_what_they_cost_in_single():
    logits, target = golden_case("two_tumours", torch.bfloat16)

    half = seg_loss(logits, target, 9, REFERENCE).total
    single = seg_loss([scores.float() for scores in logits], target, 9, REFERENCE).total

    assert half.dtype == torch.float32
    assert half.item() == single.item()


def row(*labels):
    """Labels (1, 1, 1, X)."""
    return torch.tensor(labels).view(1, 1, 1, -1)


def test_hard_examples_lie_within_half_an_edge_of_the_tumour():
    labels = row(0, 0, 0, 3, 1, 2, 0)

    assert hard_negatives(labels, 3).flatten().tolist() == [0, 0, 0, 1, 0, 0, 1]
    assert hard_negatives(labels, 5).flatten().tolist() == [0, 0, 1, 1, 0, 0, 1]


def test_the_rim_is_what_erosion_takes_and_the_border_takes_nothing():
    assert hard_positives(row(0, 1, 1, 2, 2), 3).flatten().tolist() == [0, 1, 0, 0, 0]
    assert hard_positives(row(IGNORE, 1, 1, 2, 0), 3).flatten().tolist() == [0, 0, 0, 1, 0]


def test_a_hard_background_voxel_weighs_16_a_hard_cochlea_voxel_20_an_ignored_one_nothing():
    weights = voxel_weights(row(0, 0, IGNORE, 1, 3, 0), torch.float64, REFERENCE, 3)

    assert weights.flatten().tolist() == [1, 1, 0, 5, 20, 1]
    assert voxel_weights(row(0, 1, 2), torch.float64, REFERENCE, 3).flatten().tolist() == [
        16,
        5,
        15,
    ]


def test_the_rim_weighs_more_where_asked():
    settings = SegLossSettings(hard_weight=0, rim_weight=2)

    weights = voxel_weights(row(0, 1, 1, 1), torch.float64, settings, 3)

    assert weights.flatten().tolist() == [1, 7, 5, 5]


def test_the_loss_of_an_undecided_network_is_as_computed_on_paper():
    """A lone cochlea voxel: 20 * 5 ln 4 / (1 + 1); its Dice 2/4 / (1/4 + 1), the others 0."""
    loss = seg_loss([torch.zeros(1, 4, 1, 1, 1, dtype=torch.float64)], row(3), 7, REFERENCE)

    assert loss.entropy.item() == pytest.approx(50 * math.log(4))
    assert loss.dice.item() == pytest.approx(1 - (0.5 / 1.25) / 3, abs=1e-4)


def test_absent_classes_do_not_count_where_dice_is_over_the_present_ones():
    even = torch.full((1, 4, 1, 1, 1), 0.25)

    assert dice_loss(even, row(3), PRESENT).item() == pytest.approx(1 - 0.5 / 1.25, abs=1e-4)
    assert dice_loss(even, row(0), PRESENT).item() == 0


def test_the_mean_may_be_over_the_weights():
    """Two voxels of weights 1 and 5, both with probability 1/4: ln 4 whatever the weights."""
    settings = SegLossSettings(mean_over="weights", hard_weight=0, entropy_weight=1)
    even = torch.zeros(1, 4, 1, 1, 2, dtype=torch.float64)

    loss = seg_loss([even], row(0, 3), 7, settings)

    assert loss.entropy.item() == pytest.approx(math.log(4))
    assert seg_loss([even], row(IGNORE, IGNORE), 7, settings).entropy.item() == 0


def test_the_whole_tumour_counts_as_one_class_more():
    """Parts swapped with certainty: each part's Dice is 0, the whole tumour's 1."""
    swapped = torch.zeros(1, 4, 1, 1, 2, dtype=torch.float64)
    swapped[0, 2, ..., 0] = swapped[0, 1, ..., 1] = 1
    settings = SegLossSettings(dice="present", whole_tumour=True)

    assert dice_loss(swapped, row(1, 2), settings).item() == pytest.approx(2 / 3, abs=1e-4)
    assert dice_loss(swapped, row(1, 2), PRESENT).item() == pytest.approx(1, abs=1e-4)


def test_what_is_predicted_at_ignored_voxels_changes_nothing():
    target = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    target[..., 2:6, 2:6] = 1
    target[..., 4:, :] = IGNORE
    logits = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    other = logits + 9 * torch.randn_like(logits) * (target == IGNORE)[:, None]
    levels, others = (
        [scores[..., ::2, ::2] if s else scores for s in (0, 1)] for scores in (logits, other)
    )

    assert (
        seg_loss(others, target, 7, REFERENCE).total == seg_loss(levels, target, 7, REFERENCE).total
    )


def test_a_batch_that_is_ignored_throughout_has_no_loss_and_no_gradient_worth_the_name():
    logits = torch.zeros(1, 4, 1, 1, 1, requires_grad=True)

    loss = seg_loss([logits], row(IGNORE), 7, PRESENT)
    loss.total.backward()

    assert loss.total.item() == 0
    assert not logits.grad.any()


def test_an_unknown_label_makes_the_loss_not_a_number():
    loss = seg_loss([torch.zeros(1, 4, 1, 1, 2)], row(0, 4), 7, REFERENCE)

    assert loss.entropy.isnan()


def test_more_levels_than_weights_are_refused():
    with pytest.raises(ValueError, match="2 levels of logits for 1 level weights"):
        seg_loss(
            [torch.zeros(1, 4, 1, 2, 2)] * 2, row(0, 0), 7, SegLossSettings(level_weights=(1,))
        )


def test_edges_are_drawn_evenly_and_the_same_for_the_same_seed():
    edges = [draw_edge(np.random.default_rng(seed)) for seed in range(200)]

    assert edges == [draw_edge(np.random.default_rng(seed)) for seed in range(200)]
    assert set(edges) == {7, 9, 11, 13, 15}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gets_the_same_loss():
    logits, target = golden_case("two_tumours", torch.float32)

    on_gpu = seg_loss([s.cuda() for s in logits], target.cuda(), 9, REFERENCE).total

    assert on_gpu.item() == pytest.approx(seg_loss(logits, target, 9, REFERENCE).total.item(), 1e-5)
