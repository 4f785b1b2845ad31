"""What ``meatus`` lists of this package is there when it is called."""

from importlib import import_module

import click
import pytest

from meatus_evaluation import entry_points
from meatus_evaluation.commands import benchmarks, options, scores, studies
from tests.meatus_evaluation.label_maps import run

NAMES = [later.name for later in entry_points.commands]


def test_every_command_of_the_package_is_listed():
    found = {
        value.name
        for module in (benchmarks, scores, studies)
        for value in vars(module).values()
        if isinstance(value, click.Command)
    }

    assert found == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_found_where_its_entry_says_and_explains_itself(name):
    done = run(name, "--help")

    assert done.exit_code == 0
    assert "Usage:" in done.stdout


def test_options_that_several_commands_have_are_defined_once():
    shared = [name for name in vars(options) if name.endswith("_option")]

    assert {"json_option", "scheme_option", "weights_option"} <= set(shared)
    for module in (benchmarks, scores, studies):
        assert import_module(module.__name__).json_option is options.json_option
