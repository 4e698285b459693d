"""What JUnit XML says of model calls: properties of the suite, and of each test where the format allows them.

Part of the plugin only with `--junitxml`; `-p no:llm-strategy-junit` leaves it out. The family `xunit2`, which is
pytest's default, has no properties of a test: Jenkins' xUnit plugin refuses a file with any.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from llm_strategy import Session
from pytest_llm_strategy.scopes import TestScope

NAME = "llm-strategy-junit"


class Properties:
    """Adds figures to the reports of tests, by workers of pytest-xdist too, and to the suite of the file."""

    def __init__(self, config: pytest.Config, session: Session, test: pytest.StashKey[TestScope]) -> None:
        self._config = config
        self._session = session
        self._test = test
        self._of_tests = config.getini("junit_family") != "xunit2"
        # So that what was recorded within `use_cassette` blocks is known of the test around them.
        session.reported = session.reported or self._of_tests

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The report of the teardown is the one whose properties are written."""
        report = yield
        if self._of_tests and report.when == "teardown":
            opened = item.stash[self._test].opened
            # With it, what child processes missed is known.
            self._session.missed(opened)
            figures = opened.figures()
            report.user_properties += [(f"llm_{name}", str(value)) for name, value in figures.items()]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before the file is written, and under pytest-xdist when all workers have handed over their parts."""
        from _pytest.junitxml import xml_key

        xml = self._config.stash.get(xml_key, None)
        if xml is not None and not self._session.idle:
            for name, value in self._session.account.figures().items():
                xml.add_global_property(f"llm_{name}", Session.scrub(str(value)))
