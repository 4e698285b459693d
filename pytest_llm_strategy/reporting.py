"""`--llm-report=PATH`: what the tests did, gathered from every process and written when all is done.

What a test's calls were is known in the process that ran it, and goes to the controller of pytest-xdist with the report
of its teardown: so it is there even when that process crashes later.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Generator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from _pytest._io import TerminalWriter

from llm_strategy import Report, Session
from pytest_llm_strategy.scopes import FixtureScopes, TestScope

_CALLS = "llm_strategy_calls"
"""The attribute of a test's report, and what a worker hands over, that holds calls: JSON in ASCII crosses anything."""


def register(config: pytest.Config, session: Session, fixtures: FixtureScopes) -> None:
    """Begin the report. Raises UsageError at once where it could not be written in the end."""
    if config.getoption("collectonly", False):
        return
    report = Report(session)
    gathering = _Gathering(fixtures)
    config.pluginmanager.register(gathering, "llm-strategy-report-gathering")
    if not hasattr(config, "workerinput"):
        path = _path(config)
        _check(path)
        config.pluginmanager.register(_Writing(report, gathering, path, config), "llm-strategy-report")


def _path(config: pytest.Config) -> Path:
    """The file that is asked for: an option is relative to where pytest was started, the ini to rootdir."""
    given = config.getoption("llm_report")
    base, name = (config.invocation_params.dir, given) if given else (config.rootpath, config.getini("llm_report"))
    return Path(base, os.path.expanduser(name))


def _check(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if path.exists() and not path.is_file():
            # A device, a pipe: opening one may wait for its reader.
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            path.open("ab").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise pytest.UsageError(f"--llm-report: {path} cannot be written: {reason}. Name another file") from None


class _Gathering:
    """In each process that runs tests: takes the calls of a scope before it is closed."""

    def __init__(self, fixtures: FixtureScopes) -> None:
        fixtures.when_ending = self._ending
        self._fixtures: list[dict[str, Any]] = []

    def _ending(self, opened: Any, passed: bool) -> None:
        calls = Report.of(opened)
        if calls:
            outcome = "passed" if passed else "failed"
            self._fixtures.append({"name": opened.rules["owner"], "outcome": outcome, "calls": calls})

    def taken(self) -> list[dict[str, Any]]:
        """The fixtures that have ended since they were taken last."""
        fixtures, self._fixtures = self._fixtures, []
        return fixtures

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "teardown":
            scope = item.stash[_key()]
            setattr(report, _CALLS, json.dumps({"calls": Report.of(scope.opened), "fixtures": self.taken()}))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fixtures that end with an interrupted session have no test whose report could take them along."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_CALLS] = json.dumps(self.taken())


def _key() -> pytest.StashKey[TestScope]:
    from pytest_llm_strategy.plugin import TEST

    return TEST


class _Writing:
    """In the process that writes the report: takes in what every process has to tell."""

    def __init__(self, report: Report, gathering: _Gathering, path: Path, config: pytest.Config) -> None:
        self._report = report
        self._gathering = gathering
        self._path = path
        self._config = config
        self._running: dict[str, _Test] = {}
        self._problem: str | None = None
        self._is_written = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._running.setdefault(report.nodeid, _Test())
        test.add(report)
        # Of a worker that has crashed, the last report is none of a teardown.
        if report.when not in ("setup", "call"):
            del self._running[report.nodeid]
            said = json.loads(getattr(report, _CALLS, "{}"))
            self._take(said.get("fixtures", ()), test.worker)
            self._report.add(report.nodeid, **test.told(), calls=said.get("calls", ()))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._report.add(report.nodeid, kind="collection", outcome="error", error=_text(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._take(json.loads(getattr(node, "workeroutput", {}).get(_CALLS, "[]")), node.gateway.id)

    def _take(self, fixtures: Any, worker: str | None) -> None:
        for fixture in fixtures:
            self._report.add(**fixture, kind="fixture", worker=worker)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """After the session itself has ended: only then stand the recordings where they will stand."""
        self._write()

    def pytest_unconfigure(self) -> None:
        """Where a fixture fails while an interrupted session ends, pytest goes no further."""
        self._write()

    def _write(self) -> None:
        if self._is_written:
            return
        self._is_written = True
        self._take(self._gathering.taken(), None)
        for name, test in self._running.items():
            self._report.add(name, **test.told())
        try:
            self._report.write(self._path)
        except OSError as error:
            self._problem = f"report: {self._path} could not be written: {error.strerror or error}"

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._problem is not None:
            terminalreporter.write_line(self._problem, red=True)
        else:
            terminalreporter.write_line(f"report: {_short(self._path)}")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _Test:
    """What the reports of a test's phases say."""

    def __init__(self) -> None:
        self.outcome = "passed"
        self.seconds = 0.0
        self.worker: str | None = None
        self.errors: list[str] = []

    def add(self, report: pytest.TestReport) -> None:
        self.seconds += report.duration
        self.worker = getattr(report, "worker_id", None) or _worker(report)
        outcome = _outcome(report)
        if outcome not in ("passed", "skipped", "xfailed"):
            self.errors.append(_text(report))
        if _RANK.index(outcome) > _RANK.index(self.outcome):
            self.outcome = outcome

    def told(self) -> dict[str, Any]:
        error = "\n\n".join(filter(None, self.errors))
        return {"outcome": self.outcome, "seconds": round(self.seconds, 4), "worker": self.worker, "error": error}


_RANK = ("passed", "skipped", "xfailed", "xpassed", "rerun", "error", "failed")
"""From what says least of a test to what says most."""


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed" if report.passed else "failed"
    if report.failed and report.when in ("setup", "teardown"):
        return "error"
    return report.outcome if report.outcome in _RANK else "failed"


def _text(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What pytest shows of a failure; its own `longreprtext` is without the indentation of the first line."""
    written = StringIO()
    writer = TerminalWriter(written)
    writer.hasmarkup = False
    report.toterminal(writer)
    return written.getvalue().strip("\n").rstrip()


def _worker(report: Any) -> str | None:
    gateway = getattr(getattr(report, "node", None), "gateway", None)
    return None if gateway is None else gateway.id
