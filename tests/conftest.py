"""What concerns the whole test run."""

from __future__ import annotations

import signal
import threading

import pytest

if threading.current_thread() is threading.main_thread():
    # A job in the background of a shell ignores ctrl+c, and so would the programs that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the blocks of the documentation that no test runs, with their reasons."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    skipped = [text for report in reports for name, text in report.user_properties if name == "block not run"]
    if skipped:
        terminalreporter.section("documentation blocks that are not run")
        terminalreporter.write_line("\n".join(sorted(map(str, skipped))))
