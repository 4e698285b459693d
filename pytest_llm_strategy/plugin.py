"""What pytest loads: options, markers, fixtures, and the hooks that give every test its scope.

At start it imports pytest and the standard library only. The library itself comes without pydantic,
YAML or any provider; those are loaded by the first call.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from llm_strategy import Session
from pytest_llm_strategy import boundary, credentials, ending, parts, placeholder_keys, reports, summary
from pytest_llm_strategy.scopes import FixtureScopes, TestScope

if TYPE_CHECKING:
    from llm_strategy import Call, Fault

SESSION = pytest.StashKey[Session]()
FIXTURES = pytest.StashKey[FixtureScopes]()
TEST = pytest.StashKey[TestScope]()
SUBTESTS = pytest.StashKey["_Subtests"]()
SELECTION = pytest.StashKey[ending.Selection]()

_RECORD = "--llm-record"
_JOURNAL = "llm_strategy_journal"
_HTTP_SETTINGS = ("http_hosts", "allowed_hosts", "http_ignore", "record_errors")
_MODES = ("new", "all", "live", "dry", "replay")


class _RecordMode(argparse.Action):
    """`--llm-record` and each `--llm-record=MODE` as an option of its own.

    An optional value would take the path in `pytest --llm-record tests/`; as names of one option
    they are listed by the error for a mode that does not exist.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **settings)

    def __call__(self, _parser: Any, namespace: Any, _values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, (option_string or "").partition("=")[2] or "new")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("llm-strategy", "model calls (llm-strategy)")
    group.addoption(
        _RECORD,
        *(f"{_RECORD}={mode}" for mode in _MODES),
        action=_RecordMode,
        dest="llm_record",
        help="ask models for the calls that no cassette answers and keep the answers (new); ask all afresh (all); use "
        "no cassettes (live); list what would be asked (dry); never ask (replay, the default)",
    )
    group.addoption("--llm-cassettes", metavar="DIR", help="folder of the cassettes, relative to rootdir")
    group.addoption("--llm-model", metavar="MODEL", help="'provider:name' for functions that name no model")
    group.addoption(
        "--llm-budget",
        metavar="USD",
        help="stop asking before the calls of this run cost more than so many US dollars; what was recorded is kept",
    )
    group.addoption(
        "--llm-roundtrip",
        action="store_true",
        help="also test, for each function of the project that a model implements, that values of its return type come "
        "back from a reply, and that malformed replies are refused (needs hypothesis)",
    )
    group.addoption(
        "--llm-prompt-snapshots",
        action="store_true",
        help="compare the prompts of every test that makes calls with its accepted transcript, as the fixture "
        "prompt_snapshot does; `--snapshot-update` accepts them (needs syrupy)",
    )
    group.addoption(
        "--llm-report",
        metavar="PATH",
        help="write a page about the tests' model calls to this file (.html; .json for its data alone)",
    )
    _add_settings(parser)
    _add_http(parser)


def _add_settings(parser: pytest.Parser) -> None:
    parser.addini("llm_report", "as --llm-report, relative to rootdir", default="")
    parser.addini("llm_cassettes", "folder of the cassettes, relative to rootdir", default="cassettes")
    parser.addini("llm_model", "'provider:name' for functions that name no model", default="")
    parser.addini("llm_budget", "as --llm-budget", default="")
    parser.addini(
        "llm_prices",
        "what models cost that are on no price list, a line each: the model, US dollars for a million input tokens, US "
        "dollars for a million output tokens",
        type="linelist",
        default=[],
    )
    parser.addini("llm_prompt_snapshots", "as --llm-prompt-snapshots", type="bool", default=False)
    parser.addini("llm_roundtrip", "as --llm-roundtrip", type="bool", default=False)
    parser.addini(
        "llm_redact",
        "regular expressions of what must not be written down, a line each; a line that begins with ! is an exception: "
        "what it matches is never taken for a secret",
        type="linelist",
        default=[],
    )


def _add_http(parser: pytest.Parser) -> None:
    parser.addini(
        "llm_http", "record and replay what HTTP clients send to providers, in every test", type="bool", default=False
    )
    parser.addini("llm_http_hosts", "hosts whose HTTP traffic is recorded like a provider's", type="args", default=[])
    parser.addini(
        "llm_allowed_hosts",
        "hosts, addresses and networks that may be reached in replay; what is local or private always may",
        type="args",
        default=[],
    )
    parser.addini(
        "llm_http_ignore",
        "JSON paths, a line each, of what in the body of an HTTP call differs from run to run",
        type="linelist",
        default=[],
    )
    parser.addini(
        "llm_record_errors",
        "also record the errors that an HTTP client got over by asking again",
        type="bool",
        default=False,
    )
    parser.addini(
        "llm_placeholder_keys",
        "with llm_http: in replay, set a placeholder for the keys that SDKs of providers insist on",
        type="bool",
        default=True,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before anything of the project is imported, which may make clients at once."""
    placeholder_keys.lend(early_config, getattr(early_config.known_args_namespace, "llm_record", None))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "llm_cassette(name=None, mode=None, http=None, ignore=(), repeat=None, expect_miss=False): the cassette of a "
        "test: a name to share it, a mode for recording sessions, whether HTTP calls are taken in too and what of "
        "their bodies differs from run to run, repeat='last' to replay the last answer on",
    )
    config.addinivalue_line(
        "markers",
        "llm_faults(*kinds, calls=None): run the test again for each fault ('malformed', 'wrong_type', 'refusal', "
        "'cut_off', 'rate_limit', 'timeout'; all by default) in each of its recorded calls, or those that are named",
    )
    folder = config.rootpath / (config.getoption("llm_cassettes") or config.getini("llm_cassettes"))
    options = {
        "mode": config.getoption("llm_record"),
        "model": config.getoption("llm_model") or config.getini("llm_model") or None,
        "redact": config.getini("llm_redact") or None,
        "journal": getattr(config, "workerinput", {}).get(_JOURNAL),
        "prices": config.getini("llm_prices") or None,
        "budget": _given(config, "llm_budget"),
        "http": config.getini("llm_http"),
        **{name: config.getini(f"llm_{name}") or None for name in _HTTP_SETTINGS},
    }
    try:
        session = Session(folder, **options)
    except ValueError as error:
        raise pytest.UsageError(f"llm_{error}") from None
    config.stash[SESSION] = session
    config.stash[FIXTURES] = FixtureScopes(session, config.rootpath)
    config.stash[SUBTESTS] = _Subtests()
    config.stash[SELECTION] = ending.Selection(config, session)
    config.pluginmanager.register(config.stash[SUBTESTS])
    config.pluginmanager.register(config.stash[SELECTION])
    parts.register(config, session, config.stash[FIXTURES], TEST)


def _given(config: pytest.Config, name: str) -> str | None:
    """What the command line says, else the configuration; None where neither does."""
    said: str | None = config.getoption(name)
    return said if said is not None else config.getini(name) or None


def pytest_unconfigure(config: pytest.Config) -> None:
    if SESSION in config.stash:
        # Where pytest itself has failed, nothing is known of what the tests would have used.
        config.stash[SESSION].finish(prune=False)


# The scope of a test


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    session = item.config.stash[SESSION]
    scope = TestScope(item, session)
    item.stash[TEST] = scope
    running = item.config.stash[SUBTESTS].running
    running[item.nodeid] = scope
    session.enter(scope.opened)
    try:
        return (yield)
    finally:
        session.leave(scope.opened)
        del running[item.nodeid]
        item.config.stash[SELECTION].ended += 1
        scope.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    with item.stash[TEST].phase(final=False):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    test = item.stash[TEST]
    with test.phase(), test.faulted(), boundary.guarded_test(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    with item.stash[TEST].phase():
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[TEST].note(report)
    if report.failed and _uses_snapshots(item):
        from pytest_llm_strategy import snapshots

        snapshots.report(item, report)
    if not item.config.stash[SESSION].idle:
        reports.scrub(report)
    return report


def _uses_snapshots(item: pytest.Item) -> bool:
    """Whether the test compares prompts, by a parameter or by asking for the fixture while it runs."""
    asked = "prompt_snapshot" in getattr(item, "fixturenames", ()) or f"{__package__}.snapshots" in sys.modules
    return asked and item.config.pluginmanager.hasplugin("syrupy")


class _Subtests:
    """Watches for failed subtests, which are reported under their test's name and nowhere else."""

    def __init__(self) -> None:
        self.running: dict[str, TestScope] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        scope = self.running.get(report.nodeid)
        if scope is not None and report.failed:
            scope.failed_subtest()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    boundary.guard_fixture(fixturedef)
    if fixturedef.scope == "function":
        return (yield)
    with request.config.stash[FIXTURES].setting_up(fixturedef, request):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    credentials.explain(report, collector.config.stash[SESSION])
    if not collector.config.stash[SESSION].idle:
        reports.scrub(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, Any, Any]:
    made = yield
    if isinstance(made, list) and any(item.get_closest_marker("llm_faults") for item in made):
        from pytest_llm_strategy import faults

        return list(faults.with_variants(made, collector.config.stash[SESSION]))
    return made


# Fixtures


@pytest.fixture
def llm_cassette(request: pytest.FixtureRequest) -> Any:
    """The cassette of this test: `calls` are those made so far, `path` is the file."""
    return request.node.stash[TEST].scope


@pytest.fixture
def llm_calls(request: pytest.FixtureRequest) -> Sequence[Call]:
    """Every model call of this test and its function-scoped fixtures, in the order in which they were asked."""
    calls: Sequence[Call] = request.node.stash[TEST].scope.calls
    return calls


@pytest.fixture
def prompt_snapshot(request: pytest.FixtureRequest) -> Any:
    """`assert llm_calls == prompt_snapshot`: the prompts as a transcript under `__snapshots__`, reviewed as a diff."""
    from pytest_llm_strategy import snapshots

    return snapshots.prompt_snapshot(request, request.node.stash[TEST])


@pytest.fixture
def llm_fault(request: pytest.FixtureRequest) -> Fault | None:
    """The fault that the marker `llm_faults` has put into a call: `kind`, `call`, and the `error` that the caller gets.

    None in the test's plain run.
    """
    fault: Fault | None = request.node.stash[TEST].fault
    return fault


# The end


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After pytest's own part, which tears down the fixtures of an interrupted session."""
    calls = session.config.stash[SESSION]
    ending.end(session, calls, session.config.stash[SELECTION])
    if not calls.idle:
        reports.scrub_warnings(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under pytest-xdist the workers record together, and none asks afresh what another has asked."""
    node.workerinput[_JOURNAL] = node.config.stash[SESSION].journal


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Under pytest-xdist what the workers did is added up; of one that has crashed nothing is known."""
    ending.take_over(node, node.config.stash[SESSION], node.config.stash[SELECTION])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[SESSION].idle:
        summary.write(terminalreporter, config.stash[SESSION])
