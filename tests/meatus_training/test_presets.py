"""The presets ``paper`` and ``published`` against what the paper and its code say."""

from dataclasses import fields, is_dataclass

import pytest

from meatus_training.augmentation import PUBLISHED
from meatus_training.reproduce.stage import load_all

MODEST = (0.6, 1.5)

# Chen, Wang, Zhang: "An Efficient Cross-Modal Segmentation Method for VS and Cochlea on MRI
# Images"; sections on data, translation, segmentation, and table 3.
PAPER = {
    "prepare.crop.rule": "reference",
    "prepare.crop.size": (384, 384),
    "prepare.normalisation.kind": "volume",
    "prepare.normalisation.lower": 0,
    "prepare.normalisation.upper": 100,
    "prepare.normalisation.power": 1,
    "prepare.translation_size": 256,
    "translate.training.size": 256,
    "translate.training.fit": "zoom",
    "translate.training.temperature": 0.07,
    "translate.training.initialisation": "he",
    "translate.training.learning_rate": 2e-4,
    "translate.training.critic_learning_rate": 2e-5,
    "translate.training.weight_decay": 1e-4,
    "translate.training.schedule": "plateau",
    "translate.training.epochs": 200,
    "translate.training.batch": 10,
    "segment.train_on": "translated",
    "segment.width": 32,
    "segment.depth": 40,
    "segment.patch": (40, 384, 384),
    "segment.batch": 10,
    "segment.epochs": 200,
    "segment.learning_rate": 1e-4,
    "segment.weight_decay": 1e-4,
    "segment.initialisation": "he",
    "segment.augmentation.image.contrast": MODEST,
    "segment.augmentation.image.brightness": MODEST,
    "segment.augmentation.image.gamma": MODEST,
    "segment.augmentation.image.chance": 1.0,
    "segment.augmentation.targets.tumour.contrast": MODEST,
    "segment.augmentation.targets.tumour.brightness": MODEST,
    "segment.augmentation.targets.tumour.gamma": MODEST,
    "segment.augmentation.targets.tumour.chance": 1.0,
    "segment.augmentation.targets.cochlea.contrast": MODEST,
    "segment.augmentation.targets.cochlea.brightness": MODEST,
    "segment.augmentation.targets.cochlea.gamma": MODEST,
    "segment.augmentation.targets.cochlea.chance": 1.0,
    "segment.augmentation.shape.scale": (0.8, 1.2),
    "segment.augmentation.borders.blank": "rows",
    "segment.augmentation.borders.blank_chance": 0.5,
    "segment.augmentation.borders.blank_share": pytest.approx(1 / 3, abs=1e-3),
    # What the paper does not have.
    "segment.augmentation.shape.turn_degrees": 0,
    "segment.augmentation.shape.tilt_degrees": 0,
    "segment.augmentation.shape.shear": 0,
    "segment.augmentation.quality.blur_chance": 0,
    "segment.augmentation.quality.noise_chance": 0,
    "segment.augmentation.quality.bias_chance": 0,
    "segment.augmentation.quality.low_chance": 0,
    "segment.ema": 0,
}

# Where the published code departs from it.
PUBLISHED_CODE = {
    "prepare.normalisation.kind": "slice",
    "prepare.normalisation.lower": 5,
    "prepare.normalisation.upper": 95,
    "translate.training.initialisation": "xavier",
    "translate.training.weight_decay": 0,
    "translate.training.schedule": "linear",
    "segment.weight_decay": 1e-5,
    "segment.clip": 0.1,
    "segment.last_rate": 0.23,
    "segment.batch": 20,
    "segment.loss.rim_weight": 0,
    "segment.loss.hard_weight": 15,
    "selftrain.rounds": 9,
}


def value(settings, path):
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("path", PAPER)
def test_the_paper_preset_has_the_papers_value(path):
    assert value(load_all("paper"), path) == PAPER[path]


def test_hard_examples_of_the_paper_are_of_both_kinds():
    loss = load_all("paper").segment.loss

    assert loss.hard_weight > 0
    assert loss.rim_weight > 0


@pytest.mark.parametrize("path", PUBLISHED_CODE)
def test_the_published_preset_has_the_codes_value(path):
    assert value(load_all("published"), path) == PUBLISHED_CODE[path]


def test_the_published_preset_varies_targets_as_the_code_does():
    targets = load_all("published").segment.augmentation.targets

    for name in ("tumour", "cochlea"):
        given, wanted = getattr(targets, name), getattr(PUBLISHED.targets, name)
        assert (given.contrast, given.brightness, given.gamma) == (
            wanted.contrast,
            wanted.brightness,
            wanted.gamma,
        )


def leaves(settings, path=""):
    for part in fields(settings):
        found, name = getattr(settings, part.name), f"{path}{part.name}"
        if is_dataclass(found):
            yield from leaves(found, f"{name}.")
        else:
            yield name


def test_the_tables_name_settings_that_exist():
    known = set(leaves(load_all("paper")))

    assert set(PAPER) | set(PUBLISHED_CODE) <= known | set(leaves(load_all("published")))
