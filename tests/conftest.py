"""What every run of the tests says at its end."""

from tests.programs import closing_line


def pytest_terminal_summary(terminalreporter):
    reasons = [
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    if line := closing_line(reasons):
        terminalreporter.write_line(line)
