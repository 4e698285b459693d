"""A line now and then while many calls are asked: how many it were so far, and how many tokens.

Part of the plugin only while calls are recorded, and not with `-q`. It is written between tests; under pytest-xdist by
the controller, to which the workers tell their figures beside the report of each test.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from llm_strategy import Session

NAME = "llm-strategy-progress"
STEP = 50
"""So many calls are asked from one line to the next, or more where a test asks many."""
_FIGURES = "llm_strategy_asked"
"""The attribute of a report that has the figures of its process so far."""


class Progress:
    """Adds up what the processes of a run have asked."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config = config
        self._session = session
        self._asked: dict[str, list[int]] = {}
        self._told = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "teardown" and not self._session.idle:
            asked = self._session.account.tokens.asked
            setattr(report, _FIGURES, [self._session.account.asked, asked.input_tokens, asked.output_tokens])
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After the terminal's own part."""
        figures = getattr(report, _FIGURES, None)
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if figures is None or reporter is None:
            return
        worker = getattr(report, "node", None)
        self._asked[worker.gateway.id if worker else ""] = figures
        asked, sent, received = map(sum, zip(*self._asked.values(), strict=True))
        if asked // STEP > self._told // STEP:
            self._told = asked
            tokens = f", {sent:,} input and {received:,} output tokens" if sent or received else ""
            _write(reporter, f"  {asked} model calls asked so far{tokens}", ends=worker is not None)


def _write(reporter: Any, text: str, *, ends: bool) -> None:
    """Write a line. What pytest writes of the next test begins a line itself, but for what comes from workers."""
    reporter.ensure_newline()
    terminal = reporter._tw
    if terminal.width_of_current_line:
        terminal.line()
    terminal.write(text)
    if ends:
        terminal.line()
