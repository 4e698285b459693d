"""What concerns the whole test run."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the blocks of the documentation that no test runs, with their reasons."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    skipped = [text for report in reports for name, text in report.user_properties if name == "block not run"]
    if skipped:
        terminalreporter.section("documentation blocks that are not run")
        terminalreporter.write_line("\n".join(sorted(map(str, skipped))))
