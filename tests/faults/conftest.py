"""What a fault test is given, and where the figures of a long run are kept.

`FAULTS=long` in the environment (`make faults`) runs the long form; its figures go to `docs/reference/guarantees.json`.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

FIGURES = Path(__file__).parents[2] / "docs" / "reference" / "guarantees.json"
_PROPERTY = "fault figures"


class Faults:
    """How often a fault is tried, and what came of it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._node = request.node
        self.long = os.environ.get("FAULTS") == "long"

    def trials(self, short: int, long: int) -> int:
        """How many times to try: few in an ordinary run of the tests, many in a long one."""
        return long if self.long else short

    def figures(self, promise: str, **numbers: object) -> None:
        """Keep what was counted, under the promise's name; a long run writes it down."""
        self._node.user_properties.append((_PROPERTY, {promise: numbers}))


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Faults:
    """`faults.trials(5, 200)` and `faults.figures("killed while recording", trials=200, lost=0)`."""
    return Faults(request)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write down the figures of a long run, those of tests that were not run as they stood."""
    passed = terminalreporter.getreports("passed")
    found: dict[str, dict[str, object]] = {}
    for report in passed:
        for name, figures in getattr(report, "user_properties", ()):
            if name == _PROPERTY:
                test = report.nodeid.partition("[")[0]
                found |= {promise: {**numbers, "test": test} for promise, numbers in figures.items()}
    if not found:
        return
    if os.environ.get("FAULTS") == "long":
        written = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
        machine = f"Python {platform.python_version()}, {platform.system()}"
        measured = {promise: {**numbers, "on": machine} for promise, numbers in found.items()}
        FIGURES.write_text(json.dumps({**written, **measured}, indent=2, sort_keys=True) + "\n", "utf-8")
    terminalreporter.section("faults")
    for promise, numbers in sorted(found.items()):
        counted = ", ".join(f"{name} {number}" for name, number in numbers.items() if name != "test")
        terminalreporter.write_line(f"{promise}: {counted}")
