"""The scopes of tests, and of fixtures that live longer than a test."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_strategy import CassetteMiss, Session
from pytest_llm_strategy.boundary import find_miss
from pytest_llm_strategy.twins import has_greater_twin

if TYPE_CHECKING:
    from pytest_llm_strategy.faults import Variant


class TestScope:
    """A test's cassette and calls, from the beginning of its setup to the end of its teardown."""

    __test__ = False

    def __init__(self, item: pytest.Item, session: Session) -> None:
        self.item = item
        self.session = session
        options, self._problem = _marker_options(item, session)
        variant = self._variant()
        self.fault = variant.fault if variant else None
        plain = variant.plain if variant else item.nodeid
        self.expect_miss = bool(options.get("expect_miss"))
        name = options.get("name")
        self.opened = session.open(
            session.named_path(name) if name else session.test_path(plain, twin=has_greater_twin(item)),
            owner=plain,
            shared=name is not None,
            # A test about misses must not be given what it expects to miss.
            mode="replay" if self.expect_miss else options.get("mode"),
            repeat=options.get("repeat"),
            refusal=_refusal(item),
            command=_command(item.config, plain),
            fault=self.fault,
            http=options.get("http"),
            ignore=options.get("ignore") or (),
            expect_miss=self.expect_miss,
        )
        if variant is not None and session.mode != "replay" and not self.opened.path.exists():
            item.add_marker(pytest.mark.skip(reason=f"nothing is recorded yet; {plain} does that"))
        self._phases: dict[str, bool] = {}
        self._told = 0
        self._shown = False

    @property
    def scope(self) -> Any:
        """The scope itself; asking for it makes it."""
        return self.opened.scope

    @property
    def missed(self) -> bool:
        """Whether a request had no recording so far."""
        return bool(self.session.missed(self.opened))

    # Faults

    def _variant(self) -> Variant | None:
        """The fault to put into a call, where the marker `llm_faults` has made this test for it."""
        if self.item.get_closest_marker("llm_faults") is None:
            return None
        from pytest_llm_strategy import faults

        self._problem = self._problem or faults.problem(self.item)
        variant = self.item.stash.get(faults.VARIANT, None)
        reason = variant.reason_to_skip(self.session) if variant else None
        if reason is not None:
            self.item.add_marker(pytest.mark.skip(reason=reason))
        return variant

    @contextmanager
    def faulted(self) -> Iterator[None]:
        """A test whose fault never came about has shown nothing, whatever its outcome."""
        try:
            yield
        except (Exception, pytest.fail.Exception):
            self._check_that_it_struck()
            raise
        self._check_that_it_struck()

    def _check_that_it_struck(self) -> None:
        if self.fault is None or self.session.missed(self.opened):
            return
        asked = self.scope.asked
        if asked >= self.fault.call:
            return
        made = f"{self.fault.kind} was to strike call {self.fault.call}, and the test makes {asked or 'none'}"
        if self.fault.call == 1:
            raise pytest.fail.Exception(
                f"{made}: calls of wider fixtures, use_cassette blocks and child processes have no faults",
                pytrace=False,
            ) from None
        # A shared or stale cassette holds more calls than the test makes.
        raise pytest.skip.Exception(made, _use_item_location=True) from None

    # Misses

    @contextmanager
    def phase(self, *, final: bool = True) -> Iterator[None]:
        """Setup, call or teardown: a miss fails it, whatever the code under test has caught.

        Misses that were swallowed in the setup fail the call, not the setup (`final=False`).
        """
        try:
            yield
            if self._problem is not None:
                # After pytest's own part, which its teardown relies on.
                problem, self._problem = self._problem, None
                raise pytest.fail.Exception(problem, pytrace=False)
        except BaseException as error:
            miss = find_miss(error)
            if miss is None:
                # Whatever it is, the report shows the misses beside it; the teardown need not fail too.
                self._told = len(self.session.missed(self.opened))
                raise
            self._fail([miss])
        if final and not self.expect_miss:
            misses = self.session.missed(self.opened)
            if len(misses) > self._told:
                self._fail(misses[self._told :])

    def _fail(self, misses: list[CassetteMiss]) -> None:
        self._told = len(self.session.missed(self.opened))
        # What unittest has caught would be reported in the place of what is raised here.
        caught = getattr(self.item, "_excinfo", None) or []
        caught[:] = [info for info in caught if find_miss(info.value) is None]
        text = "\n\n".join(dict.fromkeys(str(miss) for miss in misses))
        if self.session.mode == "dry":
            asked = text.splitlines()[0].removeprefix("no recording answers this call of ")
            raise pytest.skip.Exception(f"would be asked: {asked}", _use_item_location=True) from None
        raise pytest.fail.Exception(text, pytrace=False) from None

    # Passed?

    def note(self, report: pytest.TestReport) -> None:
        """Keep a phase's outcome, and show misses in a report that failed, or should have, for another reason."""
        passed = report.passed and not hasattr(report, "wasxfail")
        self._phases[report.when or ""] = self._phases.get(report.when or "", True) and passed
        misses = [] if self.expect_miss else self.session.missed(self.opened)
        text = "\n\n".join(dict.fromkeys(map(str, misses)))
        if misses and hasattr(report, "wasxfail") and self.session.mode != "dry":
            # What is expected to fail is the test, not its recording.
            del report.wasxfail
            report.outcome, report.longrepr = "failed", text
        elif misses and report.failed and not self._shown and text not in str(report.longrepr):
            report.sections.append(("model calls that no recording answers", text))
        self._shown = self._shown or bool(misses and report.failed)
        if self.fault is not None and report.failed:
            fault = f"{self.fault.kind} in call {self.fault.call}: put in by the marker, not recorded"
            report.sections.append(("llm_faults", fault))

    def failed_subtest(self) -> None:
        self._phases["subtest"] = False

    @property
    def has_failed_subtests(self) -> bool:
        return "subtest" in self._phases

    @property
    def passed(self) -> bool:
        """Setup, call, teardown and all subtests passed, at the first try."""
        return {"setup", "call", "teardown"} <= self._phases.keys() and all(self._phases.values())

    def close(self) -> None:
        self.session.close(self.opened, passed=self.passed, complete=not is_given(self.item))


_OPTIONS = ("name", "mode", "http", "ignore", "repeat", "expect_miss")


def _marker_options(item: pytest.Item, session: Session) -> tuple[dict[str, Any], str | None]:
    """The arguments of `llm_cassette`, and what is wrong with them; then there are none."""
    marker = item.get_closest_marker("llm_cassette")
    if marker is None:
        return {}, None
    options: dict[str, Any] = {**dict(zip(_OPTIONS[:1], marker.args, strict=False)), **marker.kwargs}
    # Said for a module or class, it holds for a test whose own marker is about something else.
    for wider in item.iter_markers("llm_cassette"):
        if "http" in wider.kwargs:
            options.setdefault("http", wider.kwargs["http"])
    unknown = [*(name for name in options if name not in _OPTIONS), *map(repr, marker.args[1:])]
    try:
        if unknown:
            raise ValueError(f"it takes {', '.join(_OPTIONS)}, not {', '.join(unknown)}")
        if options.get("repeat") not in (None, "last"):
            raise ValueError("repeat is 'last' or left out")
        if isinstance(options.get("ignore"), str):
            raise ValueError("ignore is a list of JSON paths")
        if options.get("name") is not None:
            session.named_path(options["name"])
        if options.get("mode") is not None:
            session.open(session.folder, mode=options["mode"])
        session.open(session.folder, ignore=options.get("ignore") or ()).variables()
    except (TypeError, ValueError, AttributeError) as error:
        return {}, f"{item.nodeid}: the marker llm_cassette cannot be used: {error}"
    return options, None


def is_given(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "obj", None), "hypothesis")


def _refusal(item: pytest.Item) -> str | None:
    """Random prompts would be bought and never replay."""
    if not is_given(item):
        return None
    settings = getattr(item.obj, "_hypothesis_internal_use_settings", None)  # type: ignore[attr-defined]  # has obj
    if settings is not None and settings.derandomize:
        return None
    return (
        "recording under hypothesis's @given is refused: its random prompts would be bought and never replay. Add "
        "@settings(derandomize=True), or mark the test @pytest.mark.llm_cassette(mode='live'), or use a ScriptedModel"
    )


def _command(config: pytest.Config, nodeid: str) -> str:
    """What records a test, or the tests of a module, class or folder, where pytest was started."""
    folder: str | None = config.getoption("llm_cassettes")
    words = ["pytest", "--llm-record", *([f"--llm-cassettes={folder}"] if folder else [])]
    if nodeid:
        file, *rest = nodeid.split("::", 1)
        path = os.path.relpath(config.rootpath / file, config.invocation_params.dir).replace(os.sep, "/")
        words.append("::".join([path, *rest]))
    return shlex.join(words)


class FixtureScopes:
    """Fixtures wider than a test have cassettes of their own, so that it does not matter which test is first.

    `when_ending` is told of each scope, and whether the fixture has passed, before the scope is closed.
    """

    def __init__(self, session: Session, root: Path) -> None:
        self.session = session
        self.root = root
        self.when_ending: Callable[[Any, bool], None] | None = None

    @contextmanager
    def setting_up(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[None]:
        """The setup of a fixture; its teardown gets the same scope again."""
        session = self.session
        module = self._module(fixturedef, request)
        opened = session.open(
            session.fixture_path(module, fixturedef.argname, _parameter(fixturedef, request)),
            owner=f"{module}::{fixturedef.argname}",
            shared=_has_others(fixturedef, request, module),
            command=_command(request.config, request.node.nodeid),
        )
        passed = False
        told = 0

        def end() -> None:
            session.leave(opened)
            if self.when_ending is not None:
                self.when_ending(opened, passed)
            session.close(opened, passed=passed)
            _fail_for(session.missed(opened)[told:])

        # Finalizers run last to first: this one after the teardown, the one below before it.
        fixturedef.addfinalizer(end)
        session.enter(opened)
        try:
            yield
            _fail_for(session.missed(opened))
            passed = True
        finally:
            told = len(session.missed(opened))
            session.leave(opened)
            fixturedef.addfinalizer(lambda: session.enter(opened))

    def _module(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> str:
        """The file that defines the fixture, relative to rootdir; its module's name where that is elsewhere.

        `setUpClass`, `setup_class` and `setup_module` are fixtures that pytest makes: theirs is the file of the tests.
        """
        function = _function(fixturedef)
        code = getattr(function, "__code__", None)
        # Where the interpreter lies below rootdir, its packages do too, at a place that names its version.
        if code is not None and not _INSTALLED & set(Path(code.co_filename).parts):
            with suppress(ValueError):  # another drive of Windows
                relative = os.path.relpath(code.co_filename, self.root)
                if not relative.startswith(".."):
                    return relative.replace(os.sep, "/")
        made_for: str = request.node.nodeid.partition("::")[0]
        if made_for and _is_pytests_own(function):
            return made_for
        return getattr(function, "__module__", "fixtures").replace(".", "/")


_INSTALLED = {"site-packages", "dist-packages"}


def _function(fixturedef: pytest.FixtureDef[Any]) -> Any:
    """What the project has written: other plugins put functions of their own around it."""
    function = fixturedef.func
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def _is_pytests_own(function: Any) -> bool:
    return getattr(function, "__module__", "").startswith("_pytest.")


def _has_others(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest, module: str) -> bool:
    """Whether a run may set the fixture up for other classes, modules or packages, each of which asks for its own.

    A run of some tests then knows nothing of what the others ask. Fixtures of a session, of the module that defines
    them, and those that pytest makes for a class or module are set up once.
    """
    if fixturedef.scope == "session" or _is_pytests_own(_function(fixturedef)):
        return False
    return fixturedef.scope != "module" or request.node.nodeid != module


def _fail_for(misses: Sequence[CassetteMiss]) -> None:
    """A miss that a fixture has caught fails it all the same."""
    if misses:
        raise pytest.fail.Exception("\n\n".join(dict.fromkeys(map(str, misses))), pytrace=False)


def _parameter(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> str | None:
    if fixturedef.params is None:
        return None
    index: int = request.param_index  # type: ignore[attr-defined]  # where a fixture has params, its request has it
    ids = fixturedef.ids
    parameter = fixturedef.params[index]
    shown = ids(parameter) if callable(ids) else (ids[index] if ids else None)
    if shown is None:
        shown = parameter if isinstance(parameter, str | int | float | bool) else f"{fixturedef.argname}{index}"
    return str(shown)
