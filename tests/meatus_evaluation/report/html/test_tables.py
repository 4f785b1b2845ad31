from meatus_evaluation.report.html.tables import (
    case_table,
    failure_table,
    glance_table,
    statistics_table,
)
from meatus_evaluation.scoring.measures import MEASURES
from meatus_evaluation.scoring.summary import summarise
from tests.meatus_evaluation.report.html.test_page import case

SCORES = [case("a", dice=0.9), case("b", dice=0.7)]


def test_the_glance_has_main_measures_and_a_case_has_all():
    main = [measure.head for measure in MEASURES.values() if measure.is_main]

    assert list(glance_table(summarise(SCORES)).heads[3:8]) == main
    assert case_table("cochlea", SCORES).heads[2:11] == tuple(m.head for m in MEASURES.values())


def test_numbers_are_sorted_by_their_value_not_by_their_text():
    row = glance_table(summarise(SCORES)).rows[0]

    assert (row[3].text, round(row[3].value, 9)) == ("0.800 ± 0.141", 0.8)
    assert row[3].is_number


def test_statistics_name_the_group_with_its_failures():
    (group,) = summarise([*SCORES, case("c", failure="gone")])

    assert statistics_table(0, group).caption == "all sites: 3 cases, 1 failure"


def test_reasons_of_failures_tell_no_folder():
    row = failure_table([case("a", failure="/data/study/a.nii.gz: cut short")]).rows[0]

    assert row[2].text == "a.nii.gz: cut short"
