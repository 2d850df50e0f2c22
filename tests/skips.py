"""What was skipped for want of a server, counted by the server's name at the end of a run."""

from collections import Counter

import pytest

NO_SERVER = "no server: "
"""How the reason of such a skip begins; the server's name follows, and why it cannot be had in brackets."""
MISSED: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(NO_SERVER):
            MISSED[reason.removeprefix(NO_SERVER).split(" (")[0]] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MISSED:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(MISSED.items()))
        terminalreporter.write_line(f"Skipped for want of a server: {counts}")
