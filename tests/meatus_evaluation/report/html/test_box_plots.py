import pytest

from meatus_evaluation.report.html.box_plots import box, box_plots, scale
from meatus_evaluation.scoring.measures import MEASURES
from tests.meatus_evaluation.report.html.test_page import case, structure


def test_a_box_has_the_quartiles_and_its_whiskers_end_at_values():
    """Quartiles 2 and 4, so that whiskers reach from -1 to 7 at most."""
    drawn = box("ldn", {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 7.5})

    assert (drawn.lower, drawn.median, drawn.upper) == (2, 3, 4)
    assert (drawn.low, drawn.high) == (1, 4)
    assert drawn.outliers == (("e", 7.5),)


def test_a_box_without_a_value_beyond_its_quartile_has_no_whisker_there():
    """The upper quartile of 0, 0, 0 and 4 lies between the last two, and 4 is an outlier."""
    drawn = box("ldn", {"a": 0.0, "b": 0.0, "c": 0.0, "d": 4.0})

    assert (drawn.upper, drawn.high) == (1, 1)
    assert drawn.outliers == (("d", 4.0),)


def test_a_far_value_is_counted_at_the_end_of_the_scale_not_drawn():
    scores = [case(f"c{n}", assd_mm=0.4 + n / 100) for n in range(8)] + [case("far", assd_mm=350)]

    plot = box_plots(MEASURES["assd_mm"], scores)[0]

    assert plot.ticks == (0, 0.2, 0.4, 0.6)
    assert plot.beyond(plot.boxes[0]) == [("far", 350)]
    assert plot.drawn(plot.boxes[0]) == []


def test_shares_are_on_one_scale_and_undefined_values_are_left_out():
    scores = [case("a", dice=0.8), case("b", "etz", dice=0.9)]
    for entry in scores:
        entry.structures["cochlea"] = structure(1, 0, volume_error_percent=None)

    dice = box_plots(MEASURES["dice"], scores)
    errors = box_plots(MEASURES["volume_error_percent"], scores)

    assert [(plot.start, plot.end) for plot in dice] == [(0, 1)] * 4
    assert [b.group for b in dice[0].boxes] == ["all sites", "etz", "ldn"]
    assert [plot.title for plot in errors] == ["extra-meatal VS", "intra-meatal VS", "whole VS"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, (0, 0.25, 0.5, 0.75, 1)),
        (-41, 60, (-50, 0, 50, 100)),
        (0, 0, (0, 0.25, 0.5, 0.75, 1)),
    ],
)
def test_a_scale_has_round_numbers_about_all_values(low, high, ticks):
    assert scale(low, high) == ticks
