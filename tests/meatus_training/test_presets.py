"""The presets ``paper`` and ``published`` against what the paper and its code say."""

from dataclasses import fields, is_dataclass

import pytest

from meatus_training.augmentation import PUBLISHED
from meatus_training.reproduce.settings import load_all

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
    "segment.augmentation.quality.repeat_chance": 0,
    "segment.augmentation.borders.slab_chance": 0,
    "segment.augmentation.tumour_look.chance": 0,
    "segment.augmentation.shape.flips": "all",
    "translate.training.labelled_share": 0,
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


# What the preset meatus adds, each a setting that is off in the paper's and in the code's.
ADDITIONS = {
    "translate.training.bright_cochlea": 0.5,
    "translate.training.dark_tumour": 0.3,
    "translate.training.clip": 3.0,
    "segment.patch": (40, 192, 192),
    "segment.full_field_fraction": 0.2,
    "segment.full_field_order": "mixed",
    "segment.foreground_oversampling": 0.85,
    "segment.augmentation.tumour_look.chance": 0.5,
    "segment.augmentation.shape.flips": "left-right",
    "selftrain.drops_fluid": True,
    "selftrain.tumour_p": 0.05,
    "selftrain.clean.tumours": "one",
    "export.name": "meatus",
}
OFF = {
    "translate.styles": "one",
    "translate.training.neighbours": 0,
    "translate.training.bright_cochlea": 0,
    "translate.training.dark_tumour": 0,
    "translate.training.clip": 0,
    "translate.training.edge": 0,
    "translate.training.head": 0,
    "translate.training.segmenter": 0,
    "segment.full_field_fraction": 0,
    "segment.foreground_oversampling": 0,
    "segment.augmentation.tumour_look.chance": 0,
    "segment.augmentation.shape.flips": "all",
    "selftrain.drops_fluid": False,
    "selftrain.tumour_p": 1,
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


@pytest.mark.parametrize("preset", ["paper", "published"])
@pytest.mark.parametrize("path", OFF)
def test_what_the_paper_has_not_is_off(preset, path):
    assert value(load_all(preset), path) == OFF[path]


def test_the_preset_meatus_is_the_paper_and_its_additions():
    paper, ours = load_all("paper"), load_all("meatus")

    found = {path: value(ours, path) for path in leaves(ours)}

    assert {p: v for p, v in found.items() if v != value(paper, p)} == ADDITIONS


def test_the_tables_name_settings_that_exist():
    known = set(leaves(load_all("paper")))

    assert set(PAPER) | set(PUBLISHED_CODE) <= known | set(leaves(load_all("published")))
