"""The end of a run: whether it had all tests, what is removed then, and what is kept of it for `llm-strategy prune`."""

from __future__ import annotations

import glob
import json
import os
import warnings
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Session

_OUTPUT = "llm_strategy"
"""What a worker of pytest-xdist hands to its controller, by this name, as JSON."""
_CACHE = "llm-strategy/run"
"""Where pytest's cache has the judgement of the last complete run."""
_COLLECTING = ("norecursedirs", "python_classes", "python_files", "python_functions", "testpaths")
"""The options of the project that say what its tests are."""


class Selection:
    """Which tests a run has: `narrowed` says why these are not all of the project, `ended` counts those that ended."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._session = session
        # A worker is given its tests by the controller, which knows what was asked for.
        is_worker = hasattr(config, "workerinput")
        self.narrowed = [] if is_worker else _narrowed(config)
        self.siblings = is_worker or not (_remembers(config) or any("[" in argument for argument in config.args))
        self.ended = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Some plugins deselect without saying so."""
        before = len(items)
        yield
        if len(items) < before:
            self.narrowed.append(f"{before - len(items)} tests deselected")
            self.siblings = False

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> Generator[None, bool | None, Any]:
        """What a conftest.py leaves out here, by `collect_ignore` or a hook, may have tests elsewhere."""
        ignored = yield
        if ignored and _may_hold_tests(collection_path, config):
            self._session.doubt(os.path.relpath(collection_path, config.rootpath).replace(os.sep, "/"))
        return ignored

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._session.doubt(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Syrupy, which comes after this, would take the transcripts of tests that never ran for unused."""
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if hasattr(session.config.option, "no_cleanup") and not (
            ended and not session.shouldfail and not session.shouldstop
        ):
            session.config.option.no_cleanup = True
        yield

    def to_json(self) -> dict[str, Any]:
        return {"narrowed": self.narrowed, "siblings": self.siblings, "ended": self.ended}

    def add(self, worker: dict[str, Any]) -> None:
        """Take in a worker's part of the run."""
        self.narrowed += worker["narrowed"]
        self.siblings = self.siblings and worker["siblings"]
        self.ended += worker["ended"]


def _narrowed(config: pytest.Config) -> list[str]:
    """What of the command line leaves tests out, but for what deselects them after they were collected."""
    reasons = [f"--{name}" for name in ("ignore", "ignore-glob") if config.getoption(name.replace("-", "_"), None)]
    overridden = {override.partition("=")[0].strip() for override in config.getoption("override_ini", None) or ()}
    reasons += [f"-o {name}" for name in _COLLECTING if name in overridden]
    if _remembers(config):
        reasons.append("--lf or --sw")
    folder = config.invocation_params.dir
    given = [Path(os.path.realpath(folder / argument)) for argument in config.args if "::" not in argument]
    places = config.getini("testpaths") or ["."]
    wanted = [path for place in places for path in glob.glob(str(config.rootpath / place), recursive=True)]
    if not all(any(Path(os.path.realpath(path)).is_relative_to(other) for other in given) for path in wanted):
        reasons.append(f"only {', '.join(config.args)}")
    return reasons


def _may_hold_tests(path: Path, config: pytest.Config) -> bool:
    """Whether pytest would have looked into a file or folder, as far as its name says."""
    if path.is_dir():
        passed_by = any(fnmatch(path.name, pattern) for pattern in ["__pycache__", *config.getini("norecursedirs")])
        return not passed_by and not (path / "pyvenv.cfg").exists()
    return any(fnmatch(path.name, pattern) for pattern in config.getini("python_files"))


def _pretends(config: pytest.Config) -> bool:
    """Whether tests, or even fixtures, are only shown."""
    return any(config.getoption(name, False) for name in ("setuponly", "setupplan", "collectonly"))


def _remembers(config: pytest.Config) -> bool:
    """Whether an earlier run decides which tests this one has."""
    return any(config.getoption(name, False) for name in ("lf", "stepwise"))


# The end


def end(session: pytest.Session, calls: Session, selection: Selection) -> None:
    """Prune, where every test came to its end, and keep what a complete run says; a worker leaves both to others."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        # As text: what carries it knows no Unicode beyond UTF-8.
        output[_OUTPUT] = json.dumps({**calls.to_json(), "selection": selection.to_json()})
        calls.finish(prune=False)
        return
    passed = session.exitstatus == pytest.ExitCode.OK
    came_through = passed or session.exitstatus == pytest.ExitCode.TESTS_FAILED
    # Fewer have ended than were collected where `-x` or pytest.exit() stopped the run, or a worker has crashed.
    whole = came_through and selection.ended >= max(session.testscollected, 1) and not _pretends(session.config)
    calls.finish(prune=whole, siblings=selection.siblings)
    judges = calls.mode in ("replay", "new", "all") and not selection.narrowed
    _keep(session.config, calls, selection, complete=whole and passed and judges)


def take_over(node: Any, calls: Session, selection: Selection) -> None:
    """Add what a worker did; one that has crashed has handed over nothing."""
    text = getattr(node, "workeroutput", {}).get(_OUTPUT)
    if text is not None:
        said = json.loads(text)
        calls.add(said)
        selection.add(said["selection"])


def _keep(config: pytest.Config, calls: Session, selection: Selection, *, complete: bool) -> None:
    """Write the judgement to pytest's cache; without one, or where nothing can be written, there is none."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pytest.PytestCacheWarning)
        before = cache.get(_CACHE, None)
        said = calls.judged(before, root=config.rootpath, complete=complete, tests=selection.ended)
        if said is not None and said != before:
            cache.set(_CACHE, said)
