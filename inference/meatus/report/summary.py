"""Which of a report's cases are to be looked at first, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meatus.report.case_table import CaseReport

SHOWN = 1000  # cases of an index, those to look at twice first: a page of more is slow to open


@dataclass
class Summary:
    """Counts reports as they pass, and keeps those that are to be looked at first."""

    cases: int = 0
    failed: int = 0
    flagged: int = 0
    kept: list[CaseReport] = field(default_factory=list)

    def of(self, reports: Iterable[CaseReport]) -> Iterator[CaseReport]:
        for report in reports:
            self.cases += 1
            self.failed += report.error is not None
            self.flagged += bool(report.measures and report.measures.flags)
            self.kept.append(report)
            if len(self.kept) >= 2 * SHOWN:
                self.kept = self.most_urgent()
            yield report

    def most_urgent(self) -> list[CaseReport]:
        return urgent_first(self.kept)[:SHOWN]

    @property
    def words(self) -> str:
        """``2 to look at twice, 1 failed``; never reassuring where a tumour may be missed."""
        told = [f"{self.flagged} to look at twice"] * bool(self.flagged)
        told += [f"{self.failed} failed"] * bool(self.failed)
        return ", ".join(told) or "no flags"


def summarise(reports: Iterable[CaseReport]) -> Summary:
    summary = Summary()
    for _ in summary.of(reports):
        pass
    return summary


def urgent_first(reports: Iterable[CaseReport]) -> list[CaseReport]:
    """Failed cases, those without a tumour, those with most flags, then by name."""

    def order(report: CaseReport) -> tuple[bool, bool, int, str]:
        found = report.measures
        return (
            report.error is None,
            bool(found and found.total.whole_vs_mm3),
            -len(found.flags if found else ()),
            report.case,
        )

    return sorted(reports, key=order)
