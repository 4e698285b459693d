"""A session of a test runner: it opens scopes, commits what they recorded, and keeps the account.

At import it loads next to nothing: a session without calls costs nothing but its own bookkeeping.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from llm_strategy import slot
from llm_strategy.cassette import money, naming
from llm_strategy.cassette.facts import Facts
from llm_strategy.cassette.modes import Mode, check_mode
from llm_strategy.cassette.run import Recorded, Run, asked_in, use_of_block
from llm_strategy.environment import Lent
from llm_strategy.http import begin_scope, end_scope, install, uninstall
from llm_strategy.opened import OpenScope

if TYPE_CHECKING:
    from llm_strategy.cassette.account import Account
    from llm_strategy.cassette.faults import Fault
    from llm_strategy.cassette.project import Project
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.context import Scope
    from llm_strategy.difference.highlights import Shown
    from llm_strategy.errors import CassetteMiss
    from llm_strategy.values import Request


class Session:
    """What a test runner needs of the call log.

    `folder` holds the cassettes. `mode` is the record mode: None replays, and "replay" does so even in
    blocks that name another mode. `model` names the model of functions that name none. `redact` are regular
    expressions of what must not be written down, and behind a `!` of what may, for this process and its children
    until `finish`; None leaves what LLM_STRATEGY_REDACT says. A bad one raises ValueError. `journal` is that of
    the session whose worker this is, if of any. `http` has all scopes take in what clients send to providers over
    HTTP; `http_hosts` are recorded like a provider, `allowed_hosts` may be reached in replay, `http_ignore` are JSON
    paths of what differs from run to run, and `record_errors` keeps errors that a client got over. They hold as
    `redact` does, and None leaves what the environment says. So do `prices`, a line for each model that is on no price
    list, and `budget`, the US dollars that the session may spend with its workers and children. `account` counts what
    was done, `misses` lists every request that had no recording, with the test that made it.
    `reported` has scopes keep what a `Report` tells of them.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        mode: str | None = None,
        model: str | None = None,
        redact: Sequence[str] | None = None,
        journal: str | os.PathLike[str] | None = None,
        http: bool = False,
        http_hosts: Sequence[str] | None = None,
        allowed_hosts: Sequence[str] | None = None,
        http_ignore: Sequence[str] | None = None,
        record_errors: bool | None = None,
        prices: Sequence[str] | None = None,
        budget: str | None = None,
    ) -> None:
        settings = {"http_hosts": http_hosts, "allowed_hosts": allowed_hosts, "http_ignore": http_ignore}
        self.facts = Facts(journal)
        variables = _variables(redact, {**settings, "record_errors": record_errors})
        self._money = money.variables(prices, budget, self.facts.journal)
        variables |= self._money
        self.mode: Mode = check_mode(mode or "replay")
        self._settings = Lent(variables)
        self.http = http
        self.folder = Path(folder)
        self.only_replay = mode == "replay"
        self.model = model
        self.reported = False
        self.misses: list[tuple[str, CassetteMiss]] = []
        self._named: dict[str, PurePosixPath] = {}
        self.run = Run(self.folder)
        self._lent: dict[OpenScope, Lent] = {}
        self._intercepts = False
        self._outside = _Outside(self)
        slot.sessions.append(self)
        slot.push(self._outside)
        if http:
            self._intercept()

    @cached_property
    def account(self) -> Account:
        from llm_strategy.cassette.account import Account

        return Account()

    @cached_property
    def project(self) -> Project:
        from llm_strategy.cassette.project import Project

        return Project(self.folder)

    @property
    def journal(self) -> str:
        """The file in which sessions that record together tell each other what they have asked afresh."""
        return str(self.facts.journal)

    # Scopes

    def test_path(self, nodeid: str, *, twin: bool = False) -> Path:
        """The cassette that belongs to a test.

        `twin` says that another one, which keeps the plain name, differs from it in upper and lower case only.
        """
        return self.folder / naming.test_cassette(nodeid, twin=twin)

    def fixture_path(self, module: str, fixture: str, parameter: str | None) -> Path:
        """The cassette that belongs to a fixture wider than a test."""
        return self.folder / naming.fixture_cassette(module, fixture, parameter)

    def named_path(self, name: str) -> Path:
        """The cassette of that name, which many may share.

        Raises ValueError for a name that leaves the folder, and for one that differs from another in case only.
        """
        path = naming.named_cassette(name)
        other = self._named.setdefault(str(path).lower(), path)
        if other != path:
            raise ValueError(
                f"the cassettes {str(other)!r} and {str(path)!r} would be one file where upper and lower case are the "
                "same: rename one of them"
            )
        return self.folder / path

    def open(
        self,
        path: Path,
        *,
        owner: str | None = None,
        shared: bool = False,
        mode: str | None = None,
        repeat: Literal["last"] | None = None,
        refusal: str | None = None,
        command: str | None = None,
        fault: Fault | None = None,
        http: bool | None = None,
        ignore: Sequence[str] = (),
        expect_miss: bool = False,
    ) -> OpenScope:
        """A scope whose calls are replayed from, or recorded into, the cassette at `path`.

        A `mode` other than the session's acts only while the session records. `refusal` forbids
        recording and says why. Nothing is read or written before the first call. With a `fault`, which one
        of the calls then has, the cassette is only replayed, whatever the mode. `http` takes in HTTP calls; None
        is the session's. `ignore` are JSON paths as `http_ignore`, in addition. With `expect_miss` the account names no
        causes of what was missed.
        """
        if fault is not None:
            mode, shared = "replay", True
        asked = self.mode if mode is None else check_mode(mode)
        chosen = self.mode if self.mode == "replay" else asked
        refused = refusal if chosen in ("new", "all") else None
        rules = {"mode": chosen, "owner": owner, "shared": shared, "repeat": repeat}
        rules |= {"refusal": refused, "command": command, "http": self.http if http is None else http}
        rules["expect_miss"] = expect_miss
        return OpenScope(self, path, rules, fault, ignore)

    def enter(self, opened: OpenScope) -> None:
        """Make a scope the one that calls of this process, its threads and its children belong to."""
        if opened.rules["http"]:
            self._intercept()
            begin_scope()
        slot.push(opened)
        self._lent[opened] = Lent(opened.variables())

    def leave(self, opened: OpenScope) -> None:
        """Undo `enter`; the scope stays open."""
        slot.pop(opened)
        lent = self._lent.pop(opened, None)
        if lent is not None:
            lent.restore()
            if opened.rules["http"]:
                end_scope()

    def _intercept(self) -> None:
        """Take in HTTP calls until the session ends: threads and clients of one test may go on in the next."""
        if not self._intercepts:
            self._intercepts = True
            install()

    def missed(self, opened: OpenScope) -> list[CassetteMiss]:
        """The requests of a scope, and of child processes in it, that had no recording so far."""
        if not opened.made:
            return []
        if opened.journal.exists():
            from llm_strategy.cassette.child import read_journal

            read_journal(opened.scope, opened.journal, self.run)
        return opened.scope.misses

    def close(self, opened: OpenScope, *, passed: bool, complete: bool = True) -> None:
        """End a scope. What it recorded is put in order; with `passed`, it replaces what it replaces.

        Stale recordings are counted for passed scopes that are `complete` (every call that belongs to
        them was made), and removed at `finish`.
        """
        misses = self.missed(opened)
        judged = passed and complete and not misses and opened.rules["mode"] in ("new", "replay", "dry")
        # A test that has stopped making calls has a cassette that is stale altogether.
        looks = judged and not opened.rules["shared"] and opened.path.exists()
        if opened.made or looks:
            from llm_strategy.cassette.commit import commit

            scope = opened.scope
            scope.end(passed=passed)
            self.account.saved(scope.calls)
            self.misses += [(scope.rules.owner or str(scope.path), miss) for miss in misses]
            if scope.rules.mode != "live":
                commit(scope, passed=passed)
        if opened.fault is None:
            self._note(opened, judged=judged, looks=looks, passed=passed and complete)

    def _note(self, opened: OpenScope, *, judged: bool, looks: bool, passed: bool) -> None:
        """Keep what a scope used of its cassette, and what of it is stale."""
        owner, mode = opened.rules["owner"], opened.rules["mode"]
        stale = self._stale(opened) if looks else ()
        if opened.rules["shared"]:
            missed = "missed a recording" if self.missed(opened) else None
            problem = "did not pass" if not passed else "asked without it" if mode == "live" else missed
            self.run.shared(opened.path, owner, asked_in(opened.scope) if opened.made else {}, problem=problem)
            if not passed and owner is not None:
                self.run.doubt(owner)
        elif judged and stale is not None:
            self.run.own(opened.path, owner, stale, removable=mode == "new")
            if mode == "new" and looks and not stale:
                from llm_strategy.cassette.replaced import release

                release(opened.path)
        else:
            self.run.not_judged(opened.path, owner, passed=passed)

    def _stale(self, opened: OpenScope) -> Sequence[Recorded] | None:
        """The recordings of a test's own cassette that it did not ask for; None where it cannot be read."""
        from llm_strategy.cassette.stale import stale_in
        from llm_strategy.cassette.store import open_file
        from llm_strategy.errors import CassetteError

        try:
            return stale_in(open_file(opened.path), asked_in(opened.scope) if opened.made else {})
        except (CassetteError, OSError):
            return None

    def left(self, block: CassetteScope) -> None:
        """A `use_cassette` block has closed."""
        if not block.is_heard:
            self.account.saved(block.calls)
        self.run.block(block.path, block.rules.owner, *use_of_block(block))

    def doubt(self, nodeid: str) -> None:
        """Note tests that were not collected, of a module that was skipped as a whole: nobody knows what they ask."""
        self.run.doubt(nodeid)

    @staticmethod
    def scrub(text: str) -> str:
        """The text without the values of credential-named environment variables: for reports of a test runner."""
        from llm_strategy.known_secrets import known

        return known().scrub_report(text)

    def compare(self, recorded: Request, now: Request, opened: OpenScope | None = None) -> tuple[str, ...]:
        """What makes a request another one, in the phrases of a miss; `opened` is the scope that asks it now."""
        from llm_strategy.cassette.comparison import causes

        return causes(recorded, now, opened.path if opened else None)

    @staticmethod
    def diff(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> Sequence[Shown]:
        """What became of the lines of a text, each of which comes with the title of its section."""
        from llm_strategy.difference.highlights import highlighted

        return highlighted(old, new)

    # The end

    @contextmanager
    def priced(self) -> Iterator[None]:
        """With the prices of the project, for an account that is given when the session has ended."""
        lent = Lent(self._money)
        try:
            yield
        finally:
            lent.restore()

    @property
    def idle(self) -> bool:
        """Whether nothing was asked, replayed or missed: then there is no account to give."""
        return "account" not in self.__dict__

    def to_json(self) -> dict[str, Any]:
        """What was done so far, for `add` to the session of a test run that has several processes."""
        return {"account": None if self.idle else self.account.to_json(), "run": self.run.to_json()}

    def add(self, other: dict[str, Any]) -> None:
        """Add what the session of another process did."""
        if other["account"] is not None:
            self.account.add(other["account"])
        self.run.add(other["run"])

    def finish(self, *, prune: bool = True, siblings: bool = True) -> None:
        """End the session, and remove the stale recordings of tests that passed, where this session records.

        Without `prune` nothing is removed: not every test has come to its end, and those that did not
        may still copy what is stale elsewhere. Nor is anything of a parametrised test without its
        `siblings`, the tests with other parameters: where one is inserted, each takes what was another's.
        """
        if self in slot.sessions:
            slot.sessions.remove(self)
            slot.pop(self._outside)
            if self.run.stale:
                from llm_strategy.cassette.judgement import prune_own

                if prune:
                    prune_own(self.run, self.account, siblings=siblings)
                self.account.count(stale=sum(map(len, self.run.stale.values())))
            self._collect()
            self.facts.end()
            if self._intercepts:
                uninstall()
            # Last: what comes before may still write or report what is kept out.
            self._settings.restore()

    def _collect(self) -> None:
        """Take in what the second process has found, if prompts were recorded and sent there."""
        if "llm_strategy.volatility.second_process" in sys.modules:
            from llm_strategy.volatility.second_process import collect

            collect()

    def judged(self, before: dict[str, Any] | None, *, root: Path, complete: bool, tests: int) -> dict[str, Any] | None:
        """What is known now of stale recordings, as JSON for `llm-strategy prune` to read.

        A `complete` run had all tests of the project below `root`, and all have passed; any other only
        takes back what it used of the judgement `before`. None where there is nothing to keep.
        """
        from llm_strategy.cassette.judgement import after, judge

        if complete and self.folder.is_dir():
            return judge(self.run, root, tests)
        return after(self.run, before, root) if before else None


def _variables(redact: Sequence[str] | None, http: Mapping[str, Any]) -> dict[str, str | None]:
    """The environment variables for the settings of a session that are not None."""
    said: dict[str, str | None] = {}
    if redact is not None:
        from llm_strategy import project_rules

        said[project_rules.ENVIRONMENT] = project_rules.joined(redact)
    if any(given is not None for given in http.values()):
        from llm_strategy.http import settings

        said |= settings.variables(**http)
    return said


class _Outside:
    """No test and no fixture: where modules are imported and tests are collected."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def scope(self) -> Scope:
        from llm_strategy.cassette.outside import OutsideScope

        session = self._session
        return OutsideScope(session.mode, session.account, session.misses, session.model, http=session.http)


def running() -> Session | None:
    """The session that is running in this process; `use_cassette` takes its mode."""
    return slot.sessions[-1] if slot.sessions else None
