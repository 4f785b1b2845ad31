"""Every module of the four packages is imported, so that none is left that no test ever loads."""

import importlib

import pytest

from tests.test_architecture import MODULES

# Not to be imported: the command itself, which runs when it is.
COMMAND = {"meatus.__main__"}


@pytest.mark.parametrize("name", sorted(MODULES.keys() - COMMAND))
def test_a_module_can_be_imported(name):
    assert importlib.import_module(name).__name__ == name


def test_what_is_left_out_exists():
    assert MODULES.keys() >= COMMAND
