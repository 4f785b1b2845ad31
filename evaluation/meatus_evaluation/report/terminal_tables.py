"""Results as tables on a terminal, 120 columns wide."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from meatus.errors import printable
from meatus_evaluation.benchmark.budget import Line
from meatus_evaluation.ranking import ScoreCube, Stability, Standing
from meatus_evaluation.report.labels import (
    SHORT_STRUCTURES,
    counted,
    group_name,
    shortcomings,
)
from meatus_evaluation.report.worst import worst_first
from meatus_evaluation.scoring.match import Matched
from meatus_evaluation.scoring.measures import ASSD, DICE, MEASURES, Measure
from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.structure_score import StructureScore
from meatus_evaluation.scoring.summary import OVERALL, GroupSummary, Statistics, summarise
from meatus_evaluation.studies.compare import Compared, Comparison
from meatus_evaluation.studies.reliability import BINS, POOR_DICE, Reliability, Trial

WIDTH = 120
SHOWN = 5  # names in a line
WORST = 5  # cases on the one screen


def print_screen(scores: Sequence[CaseScore], *, more: bool = True) -> None:
    """One screen, however many cases there are: what is wrong first, means, the worst cases."""
    overall = summarise(scores)[0]
    sites = sorted({entry.site for entry in scores})
    bad = ", ".join(shortcomings(scores)) or "every tumour and cochlea is found"
    say(f"{counted(len(scores), 'case')} of {counted(len(sites), 'site')}: {bad}")
    table = Table("", "Dice", "median", "ASSD, mm", "median", "found", "missed", "false positive")
    for column in table.columns[1:]:
        column.justify = "right"
    for structure, measures in overall.measures.items():
        count = overall.counts.get(structure)
        cells = [
            cell
            for name in (DICE, ASSD)
            for cell in (_spread(measures.get(name)), _decimals_of(measures.get(name)))
        ]
        counts = (count.found, count.missed, count.false_positive) if count else ("", "", "")
        table.add_row(SHORT_STRUCTURES[structure], *cells, *map(str, counts))
    print_table(table)
    worst = [entry for entry in worst_first(scores) if entry.failure is None][:WORST]
    for entry in worst if len(scores) > 1 else ():
        named = entry.structures.items()
        dices = ", ".join(f"{SHORT_STRUCTURES[name]} {one.dice:.2f}" for name, one in named)
        say(f"worst: {entry.case}, Dice {dices}")
    if more:
        say("each case and site: --verbose; all numbers: --csv, --json, --html")


def _spread(found: Statistics | None) -> str:
    if found is None:
        return ""
    return f"{found.mean:.3f}" + (f" ± {found.sd:.3f}" if found.sd is not None else "")


def _decimals_of(found: Statistics | None) -> str:
    return "" if found is None else f"{found.median:.3f}"


def print_scores(scores: Sequence[CaseScore]) -> None:
    """Dice and ASSD of each case and structure, and the boundary's ASSD."""
    names = list(scores[0].structures)
    bounded = scores[0].boundary_assd_mm is not None
    table = Table("case", title="Dice and ASSD in mm")
    for name in names:
        table.add_column(f"{SHORT_STRUCTURES[name]}\n Dice    ASSD", no_wrap=True)
    if bounded:
        table.add_column("boundary\n   ASSD", no_wrap=True, justify="right")
    for entry in scores:
        cells = [_score_cell(entry.structures[name], entry.failure) for name in names]
        cells += [f"{entry.boundary_assd_mm:.3f}"] if bounded else []
        table.add_row(entry.case, *cells)
    print_table(table)
    if any(cell.outcome == "absent" for entry in scores for cell in entry.structures.values()):
        say("absent: in neither map, which counts as Dice 1 and ASSD 0")


def print_summary(groups: Sequence[GroupSummary]) -> None:
    """Of all cases first, then of each site."""
    for group in groups:
        print_table(_statistics_table(group))
    print_table(_counts_table(groups))


def print_unmatched(matched: Matched) -> None:
    """Predictions that no reference asks for are no failures, but may be misnamed."""
    if matched.unmatched:
        names = [file.name for file in matched.unmatched]
        say(f"without a reference, not scored: {len(names)} ({listed(names)})")
    if matched.skipped:
        names = [f"{file.name}{'/' * file.is_dir()}" for file in matched.skipped]
        say(
            f"no label maps by their names, not looked at: {len(names)} ({listed(names)}); "
            "name label maps <case>.nii.gz"
        )


def _score_cell(score: StructureScore, failure: str | None) -> str:
    if score.outcome == "absent" and failure is None:
        return "absent"
    return f"{score.dice:.3f} {score.assd_mm:7.3f}"


def _statistics_table(group: GroupSummary) -> Table:
    counts = [counted(group.cases, "case"), counted(len(group.failures), "failure")]
    missed = group.counts["whole_vs"].missed
    told = [*counts, counted(missed, "tumour missed", "tumours missed")] if missed else counts
    title = f"{group_name(group.group)}: {', '.join(told)}"
    table = Table("structure", "measure", title=title)
    for name in ("cases", "mean", "SD", "95 % of the mean", "median", "quartiles"):
        table.add_column(name, justify="right")
    for structure, measures in group.measures.items():
        for measure in (one for one in _printed(group) if one.name in measures):
            cells = _statistics_cells(measures[measure.name], measure.digits)
            table.add_row(SHORT_STRUCTURES[structure], measure.terminal_head, *cells)
    return table


def _printed(group: GroupSummary) -> list[Measure]:
    """Of sites only what the challenge ranks by; files have all measures."""
    printed = [measure for measure in MEASURES.values() if measure.is_printed]
    return [one for one in printed if one.is_ranked or group.group == OVERALL]


def _statistics_cells(found: Statistics, digits: int) -> list[str]:
    return [
        str(found.count),
        _decimals(found.mean, digits),
        _decimals(found.sd, digits),
        _ends(found.mean_low, found.mean_high, digits),
        _decimals(found.median, digits),
        _ends(found.lower_quartile, found.upper_quartile, digits),
    ]


def _counts_table(groups: Sequence[GroupSummary]) -> Table:
    table = Table("cases of", "structure", title="In how many cases; false parts in all")
    for name in ("found", "missed", "false positive", "absent", "false parts"):
        table.add_column(name, justify="right")
    for group in groups:
        for structure, count in group.counts.items():
            numbers = (count.found, count.missed, count.false_positive, count.absent)
            cells = (str(number) for number in (*numbers, count.false_positives))
            table.add_row(group_name(group.group), SHORT_STRUCTURES[structure], *cells)
    return table


def _decimals(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _ends(low: float | None, high: float | None, digits: int) -> str:
    return "-" if low is None else f"{_decimals(low, digits)} to {_decimals(high, digits)}"


def print_ranking(cube: ScoreCube, parts: Sequence[Standing], stability: Stability) -> None:
    """The overall order, how sure it is, and the teams' places in every part."""
    order = sorted(range(len(cube.teams)), key=lambda team: parts[0].cumulative[team])
    print_table(_overall(cube, parts[0], stability, order))
    say(
        f"order of all cases in {stability.same_order:.0%} of resamples; Kendall's tau to it "
        f"{_number(stability.tau)} on average, 95 % from {_range(stability.tau_interval)}"
    )
    numbers = [f"team {place}" for place in range(1, len(order) + 1)]
    table = Table("part", "cases", *numbers, "tau")
    table.title = (
        "Places (mean cumulative ranks) of the teams above, and Kendall's tau to their order"
    )
    for part in parts:
        cells = [f"{part.places[team]} ({part.cumulative[team]:.3f})" for team in order]
        table.add_row(part.part, str(part.cases), *cells, _number(part.tau))
    print_table(table)
    if cube.failures:
        told = [f"{team} {case}" for team, case in cube.failures]
        say(f"scored as empty, as a score is missing: {listed(told)}")


def _overall(cube: ScoreCube, all_cases: Standing, stability: Stability, order: list[int]) -> Table:
    table = Table("place", "team", "mean cumulative rank", "95 %", "places, 95 %", "same place")
    table.title = f"{len(cube.cases)} cases; {', '.join(map(str, cube.columns))}"
    for team in order:
        place, steady = all_cases.places[team], stability.teams[team]
        table.add_row(
            str(place),
            cube.teams[team],
            f"{all_cases.cumulative[team]:.4f}",
            _range(steady.cumulative_interval),
            "{:g} to {:g}".format(*steady.place_interval),
            f"{steady.place_shares[place - 1]:.0%}",
        )
    return table


def print_comparison(compared: Compared, worst: int) -> None:
    """Differences with their tests, then the cases that got worse most, where any did."""
    table = Table("", "cases", "mean A", "mean B", "B - A", "95 %", "better/worse", "p (Holm)")
    for entry in compared.columns:
        table.add_row(*_comparison_cells(entry))
    table.title = f"{counted(compared.cases, 'case')} in both"
    print_table(table)
    falls = Table("got worse most", "case", "A", "B", "B - A")
    for entry in compared.columns:
        for pair in entry.worst(worst):
            numbers = (f"{pair.before:.4f}", f"{pair.after:.4f}", f"{pair.difference:+.4f}")
            falls.add_row(str(entry.column), pair.case, *numbers)
    if falls.row_count:
        print_table(falls)
    for side, cases in (("A", compared.only_a), ("B", compared.only_b)):
        if cases:
            say(f"{counted(len(cases), 'case')} in {side} alone, not compared: {listed(cases)}")
    if compared.unpaired:
        say(f"{len(compared.unpaired)} numbers on one side alone: {listed(compared.unpaired)}")


def _comparison_cells(entry: Comparison) -> list[str]:
    return [
        str(entry.column),
        str(len(entry.pairs)),
        f"{entry.mean_a:.4f}",
        f"{entry.mean_b:.4f}",
        f"{entry.mean_difference:+.4f}",
        _range(entry.difference_interval, "+"),
        f"{entry.better}/{entry.worse}",
        f"{entry.p_holm:.2g}",
    ]


def print_budget(lines: Sequence[Line]) -> None:
    table = Table("of the main job", "measured", "budget", "", "note")
    for line in lines:
        measured, budget = (
            "-" if value is None else f"{value:,.{line.digits}f}"
            for value in (line.measured, line.budget)
        )
        table.add_row(line.name, measured, budget, line.verdict, line.note)
    print_table(table)


def trial_line(trial: Trial) -> str:
    """What one case came to, in a line."""
    sure = "-" if trial.expected_dice is None else f"{trial.expected_dice:.2f}"
    told = "; ".join(trial.alarms) or "no flag"
    return f"{trial.case}: whole VS Dice {trial.whole_vs_dice:.2f}, expected {sure}, {told}"


def print_reliability(found: Reliability) -> None:
    """Shares of true voxels by probability, a column per structure; the flags; what would mend."""
    table = Table("probability", *[name.replace("_", "-") for name in found.bins])
    for place in range(BINS):
        cells = [
            _number(float(one.true[place] / (one.voxels[place] or math.nan)))
            for one in found.bins.values()
        ]
        table.add_row(f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}", *cells)
    errors = [_number(one.expected_error) for one in found.bins.values()]
    table.add_row("expected error", *errors)
    print_table(table)
    alarms = found.alarms
    say(
        f"flagged: {alarms.caught} of {alarms.poor} cases with whole-VS Dice below {POOR_DICE}, "
        f"{alarms.false} of {alarms.good} others"
    )
    if found.temperature is not None:
        too = "too sure" if found.temperature > 1 else "not sure enough"
        say(f"best temperature: {found.temperature:.2f} (the network is {too})")


def print_table(table: Table) -> None:
    """Without colours, so that no cell can command the terminal."""
    text = io.StringIO()
    Console(file=text, width=WIDTH, markup=False, emoji=False, highlight=False).print(table)
    for line in text.getvalue().splitlines():
        say(line.rstrip())


def say(text: str) -> None:
    """One line on stdout."""
    print(printable(text))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _range(ends: tuple[float, float], sign: str = "") -> str:
    low, high = ends
    return f"{low:{sign}.3f} to {high:{sign}.3f}"


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
