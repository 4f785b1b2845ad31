import pytest

from meatus_evaluation.benchmark.budget import Line
from meatus_evaluation.report.terminal_tables import listed, print_budget, print_summary, say
from meatus_evaluation.scoring.summary import summarise
from tests.meatus_evaluation.report.html.test_page import case


@pytest.fixture
def printed(capsys):
    print_summary(summarise([case("a", "ldn"), case("b", "etz", failure="gone")]))
    return capsys.readouterr().out


def test_sites_have_what_the_challenge_ranks_by_and_all_cases_have_more(printed):
    whole, site = printed.split("all sites: ")[1].split("etz: ")[:2]

    assert "HD95, mm" in whole
    assert "volume error, mm3" in whole
    assert "ASSD, mm" in site
    assert "HD95" not in site.split("ldn: ")[0]
    assert "mean of means" not in printed


def test_outcomes_are_counted_by_the_fields_own_words(printed):
    assert "false positive" in printed
    assert "missed" in printed


def test_long_lists_are_cut_and_a_name_cannot_command_the_terminal(capsys):
    say("\x1b[31mred")

    assert listed(["a", "b", "c", "d", "e", "f", "g"]) == "a, b, c, d, e and 2 more"
    assert "\x1b" not in capsys.readouterr().out


def test_what_was_not_measured_is_a_dash(capsys):
    print_budget([Line("peak", None, 5413.0, "not measured", "no GPU here")])

    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[3].split("│")]
    assert cells[1:6] == ["peak", "-", "5,413.0", "not measured", "no GPU here"]
