"""Programs that some tests need beside Python, and what to install where they are not here."""

import re
import shutil
from collections import Counter

import pytest

# In the reason of a test that is skipped: what to install, and by what.
ADVICE = re.compile(r"(apt-get|pip) install (\S+)")


def program(name, package):
    """The program's path; the test that asks for it is skipped where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not here: apt-get install {package}")
    return path


def closing_line(reasons):
    """One line for all tests that were skipped for want of a program; "" where none was."""
    wanted = Counter(match.groups() for match in map(ADVICE.search, reasons) if match)
    by_tool = {
        tool: " ".join(sorted(package for each, package in wanted if each == tool))
        for tool in ("apt-get", "pip")
    }
    told = "; ".join(f"{tool} install {packages}" for tool, packages in by_tool.items() if packages)
    return f"{wanted.total()} tests skipped for want of programs: {told}" if told else ""
