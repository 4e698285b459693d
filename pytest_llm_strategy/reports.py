"""What pytest shows of a test, and writes into JUnit XML, without the credentials of this machine.

A provider repeats the key that it refuses, and a traceback shows arguments and locals: in the log of a continuous
integration others read them.
"""

from __future__ import annotations

from typing import Any

import pytest

from llm_strategy import Session


def scrub(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Replace the values of credential-named environment variables in a report, wherever text stands in it."""
    if report.longrepr is not None:
        report.longrepr = _scrubbed(report.longrepr)
    report.sections = _scrubbed(report.sections)
    for name in ("user_properties", "wasxfail"):
        if hasattr(report, name):
            setattr(report, name, _scrubbed(getattr(report, name)))


def scrub_warnings(config: pytest.Config) -> None:
    """Do the same with the warnings that the terminal is about to list."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    for warning in [] if reporter is None else reporter.stats.get("warnings", ()):
        warning.message = Session.scrub(warning.message)


def _scrubbed(value: Any) -> Any:
    """A text without credentials; other values with their parts replaced, objects of pytest in place."""
    if isinstance(value, str):
        return Session.scrub(value)
    if isinstance(value, list | tuple):
        parts = [_scrubbed(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if type(value).__module__.startswith("_pytest.") and hasattr(value, "__dict__"):
        for name, part in vars(value).items():
            setattr(value, name, _scrubbed(part))
    return value
