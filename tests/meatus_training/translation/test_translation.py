from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from meatus_training.errors import TrainingError
from meatus_training.settings_files import load_settings
from meatus_training.translation.networks import Discriminator, Generator, initialise
from meatus_training.translation.objective import GeneratorLoss
from meatus_training.translation.settings import TranslateSettings, TranslatorSettings
from meatus_training.translation.state import load_generator, start_state
from meatus_training.translation.train import train_translation
from tests.meatus_training.translation.runs import CPU, TINY, curve, silent, toy_data, weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train_translation(toy_data(), TINY, folder, CPU, silent), folder


def test_a_run_that_was_stopped_ends_as_the_unbroken_one(whole, tmp_path):
    asked = iter(range(9))
    train_translation(toy_data(), TINY, tmp_path, CPU, silent, lambda: next(asked) == 3)
    assert [entry["step"] for entry in curve(tmp_path)] == [1, 2, 3, 4]

    resumed = train_translation(toy_data(), TINY, tmp_path, CPU, silent)

    assert torch.equal(weights(whole[0]), weights(resumed))
    timeless = [
        [{k: v for k, v in line.items() if k not in ("steps_per_s", "waiting_share")} for line in c]
        for c in (curve(whole[1]), curve(tmp_path))
    ]
    assert timeless[0] == timeless[1]


def test_a_run_killed_between_two_checkpoints_repeats_the_lost_steps(whole, tmp_path):
    def killed(line):
        if line.startswith("step 3:"):  # the last checkpoint is that of step 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_translation(toy_data(), TINY, tmp_path, CPU, killed)
    resumed = train_translation(toy_data(), TINY, tmp_path, CPU, silent)

    assert torch.equal(weights(whole[0]), weights(resumed))
    assert [entry["step"] for entry in curve(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_is_not_trained_further(whole):
    again = train_translation(toy_data(), TINY, whole[1], CPU, silent)

    assert torch.equal(weights(whole[0]), weights(again))


def test_training_moves_every_network_and_leaves_pictures(whole):
    for before, after in zip(start_state(TINY, CPU).networks, whole[0].state.networks, strict=True):
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
            assert not torch.equal(old, new), name

    assert (whole[1] / "pictures" / "step_0000006.png").exists()


def test_gradients_clipped_to_nothing_move_no_network(tmp_path):
    # Adam divides by what it has seen, but for its own 1e-8: below that nothing is left to move.
    settings = replace(TINY, clip=1e-15, weight_decay=0.0)

    trained = train_translation(toy_data(), settings, tmp_path, CPU, silent)

    for before, after in zip(start_state(TINY, CPU).networks, trained.state.networks, strict=True):
        for old, new in zip(before.parameters(), after.parameters(), strict=True):
            torch.testing.assert_close(old, new, rtol=0, atol=1e-6)


def test_a_checkpoint_of_other_settings_is_refused_by_their_names(whole):
    with pytest.raises(TrainingError, match=r"other settings \(patches\)"):
        train_translation(toy_data(), replace(TINY, patches=8), whole[1], CPU, silent)


def test_a_checkpoint_of_other_scans_is_refused(whole):
    with pytest.raises(TrainingError, match="was trained on other scans"):
        train_translation(toy_data(fingerprint="b"), TINY, whole[1], CPU, silent)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"half a file")

    with pytest.raises(TrainingError, match=r"state\.pt is not a whole checkpoint"):
        load_generator(tmp_path / "state.pt")


def test_weights_that_are_no_longer_finite_never_replace_a_checkpoint(tmp_path):
    settings = replace(TINY, learning_rate=float("inf"), log_every=100)

    with pytest.raises(TrainingError, match="weights of the generator are no longer finite"):
        train_translation(toy_data(), settings, tmp_path, CPU, silent)
    assert not (tmp_path / "state.pt").exists()


def test_the_published_rate_is_constant_and_then_falls_linearly(tmp_path):
    settings = replace(TINY, schedule="linear", epochs=2, decay_epochs=3, steps_per_epoch=1)

    train_translation(toy_data(), settings, tmp_path, CPU, silent)

    rates = [entry["rate"] for entry in curve(tmp_path)]
    assert rates == pytest.approx([2e-3, 2e-3, 1.5e-3, 1e-3, 0.5e-3])


def test_both_rates_fall_to_a_fifth_once_the_loss_no_longer_does(tmp_path):
    # No loss falls below a thousandth of the first: every later epoch counts as without gain.
    settings = replace(
        TINY, epochs=4, steps_per_epoch=1, plateau_patience=1, plateau_threshold=0.999
    )

    train_translation(toy_data(), settings, tmp_path, CPU, silent)

    assert [entry["rate"] for entry in curve(tmp_path)] == pytest.approx([2e-3] * 3 + [4e-4])
    assert curve(tmp_path)[-1]["critic_rate"] == pytest.approx(4e-6)


@pytest.mark.parametrize("preset", ["published", "phantom", "smoke"])
def test_presets_can_be_read_and_paper_says_but_when_to_stop_beside_the_defaults(preset):
    paper = load_settings("translate", "paper", TranslateSettings)
    named = ("held_out", "keep_epochs", "workers")
    stopping = {name: getattr(paper.training, name) for name in named}

    assert paper == TranslateSettings(training=TranslatorSettings(**stopping))
    assert load_settings("translate", preset, TranslateSettings) != TranslateSettings()


def test_the_published_code_differs_from_the_paper_where_it_is_known_to():
    paper, published = (
        load_settings("translate", name, TranslateSettings).training.as_dict()
        for name in ("paper", "published")
    )

    assert {name for name in paper if paper[name] != published[name]} == {
        "initialisation",
        "schedule",
        "decay_epochs",
        "weight_decay",
        "precision",
        "held_out",
        "keep_epochs",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("training: {size: 130}", "training.size"),
        ("training: {temprature: 1}", "training.temprature: no such key"),
        ("training: {styles: 3}", "set styles: by_site"),
        ("styles: three", "styles"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(tmp_path, line, message):
    (tmp_path / "translate.yaml").write_text(line)

    with pytest.raises(TrainingError, match=message):
        load_settings("translate", str(tmp_path), TranslateSettings)


@pytest.mark.parametrize(("method", "deviation"), [("he", 0.1250), ("xavier", 0.00125)])
def test_initial_weights_have_the_deviation_of_their_method(method, deviation):
    # He: sqrt(2 / 128 inputs). Xavier: 0.02 sqrt(2 / (256 inputs + 256 outputs)).
    layer = torch.nn.Linear(128 if method == "he" else 256, 256)

    initialise(layer, method)

    assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert not layer.bias.any()


def test_new_styles_change_nothing_and_trained_ones_differ(tmp_path):
    settings = replace(TINY, styles=3, blocks=9, learning_rate=0.02)
    data = toy_data(styles=(0, 2, 1))
    slices = torch.rand(1, 1, 32, 32).repeat(3, 1, 1, 1)
    codes = torch.arange(3)
    fresh = start_state(settings, CPU).generator(slices, codes)
    assert torch.equal(fresh[0], fresh[1])
    assert torch.equal(fresh[0], fresh[2])

    trained = train_translation(data, settings, tmp_path, CPU, silent).state.generator(
        slices, codes
    )

    assert not torch.allclose(trained[0], trained[1], atol=1e-4)
    assert not torch.allclose(trained[0], trained[2], atol=1e-4)


def test_the_contrastive_features_know_no_style():
    generator = Generator(width=4, styles=2)
    film = generator.film
    for layer in film.values():
        torch.nn.init.normal_(layer.scale_and_shift.weight)
    slices = torch.rand(1, 1, 32, 32).repeat(2, 1, 1, 1)

    out, features = generator.with_features(slices, torch.arange(2), TINY.layers)

    assert not torch.allclose(out[0], out[1])
    assert all(torch.equal(feature[0], feature[1]) for feature in features)
    assert list(film) == ["17", "18", "19", "20", "23", "27"]


def test_a_discriminator_without_norms_sees_how_bright_a_slice_is():
    slices = 20 * (torch.rand(1, 1, 64, 64) - 0.5)  # beside which the norms' epsilon is nothing
    for norm, times in ((False, 2), (True, 1)):
        critic = Discriminator(width=4, norm=norm)
        for name, parameter in critic.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
        # Without biases all else but the norms hands a doubled contrast through.
        with torch.no_grad():
            wanted, found = times * critic(slices), critic(2 * slices)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.01 * float(wanted.std()))


def test_the_weights_of_the_contrastive_losses_count():
    parts = torch.tensor(0.5), torch.tensor([1.0, 3.0]), torch.tensor([2.0, 6.0])

    assert GeneratorLoss(*parts).total == 0.5 + (2 + 4) / 2
    assert GeneratorLoss(*parts, contrast_weight=0.3, identity_weight=0.5).total == pytest.approx(
        0.5 + 0.3 * (2 + 0.5 * 4) / 2
    )


def test_each_style_is_judged_by_an_output_of_its_own():
    critic = Discriminator(width=4, styles=2)
    slices = torch.rand(2, 1, 64, 64)

    logits = critic(slices, torch.tensor([1, 0]))

    both = critic(slices)
    assert logits.shape == (2, 1, 6, 6)
    assert torch.equal(logits[:, 0], torch.stack([both[0, 1], both[1, 0]]))


def test_styles_without_sites_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="sites are not given; number them from 0 to 1"):
        train_translation(toy_data(), replace(TINY, styles=2), tmp_path, CPU, silent)


def test_styled_layers_may_not_give_contrastive_features(tmp_path):
    settings = replace(TINY, styles=3)  # five blocks: 12 to 16, styled from 15 on

    with pytest.raises(TrainingError, match="features of layer 16 would depend on the style"):
        train_translation(toy_data(styles=(0, 2, 1)), settings, tmp_path, CPU, silent)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    three = SimpleNamespace(world_size=3)

    with pytest.raises(TrainingError, match="a batch of 2 cannot be shared by 3 processes"):
        train_translation(toy_data(), TINY, tmp_path, three, silent)


def test_the_trained_generator_can_be_read_alone(whole):
    generator, settings = load_generator(whole[1] / "state.pt")
    slices = torch.from_numpy(np.float32(np.ones((1, 1, 32, 32))))

    assert settings == TINY
    assert torch.equal(generator(slices), whole[0].state.generator(slices))


def test_a_gpu_that_is_full_is_told_with_what_to_do(tmp_path, monkeypatch):
    def full(*_given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("meatus_training.translation.train.train_step", full)
    with pytest.raises(TrainingError, match=r"does not hold a step.*or train with more --devices"):
        train_translation(toy_data(), TINY, tmp_path, CPU, silent)
