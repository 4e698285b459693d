"""`assert llm_calls == prompt_snapshot`: transcripts beside the test, compared and accepted by syrupy.

Importing this module needs syrupy; the fixture does it, so that a project without snapshots needs none.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_strategy import Call, Request, SecretFound, Session
from pytest_llm_strategy.conversations import alike, holds
from pytest_llm_strategy.snapshot_changes import Changes, Line
from pytest_llm_strategy.transcript import transcript

try:
    from syrupy import terminal
    from syrupy.assertion import AssertionResult, DiffMode, SnapshotAssertion
    from syrupy.extensions.single_file import SingleFileSnapshotExtension
    from syrupy.location import PyTestLocation
except ModuleNotFoundError:
    raise pytest.fail.Exception(
        'the fixture prompt_snapshot needs syrupy: pip install "llm-strategy[test]"', pytrace=False
    ) from None

if TYPE_CHECKING:
    from pytest_llm_strategy.scopes import TestScope

COMPARED = pytest.StashKey[set[str]]()
"""The transcripts that a test has compared."""
ASSERTED = pytest.StashKey["PromptSnapshot | None"]()
"""What the fixture has given to a test."""
TOLD = pytest.StashKey[list[tuple[str, str, bool]]]()
"""Sections for the report of a failed test: whose they are, what they say, whether only if pytest has cut that off."""
OPTION = "--llm-prompt-snapshots"
_NAMES = re.compile(r"<(\w+)>")
_TRUNCATED = "...Full output truncated"


def prompt_snapshot(request: pytest.FixtureRequest, test_scope: TestScope) -> PromptSnapshot:
    """What `llm_calls`, a request or a list of requests is compared with, for the test of a fixture's request."""
    if not request.config.pluginmanager.hasplugin("syrupy"):
        raise pytest.fail.Exception(
            "the fixture prompt_snapshot needs the plugin of syrupy, which is switched off: run pytest without "
            "`-p no:syrupy`, or with `-p syrupy` where plugins are not loaded by themselves",
            pytrace=False,
        )
    item = request.node
    item.stash[ASSERTED] = snapshot = PromptSnapshot.of(item, test_scope)
    return snapshot


class PromptSnapshot(SnapshotAssertion):
    """A syrupy assertion that accepts no transcript of a test whose calls were cut short by a miss."""

    scope: TestScope
    _text: str | None = None

    @classmethod
    def of(cls, item: pytest.Item, scope: TestScope) -> PromptSnapshot:
        """The snapshots of a test, as syrupy's options have it."""
        options = item.config.option
        snapshot = cls(
            session=item.config._syrupy,  # type: ignore[attr-defined]  # where syrupy's own fixture finds its session
            extension_class=PromptTranscripts,
            test_location=PyTestLocation(item),
            update_snapshots=options.update_snapshots,
            update_new_snapshots_only=options.update_new_snapshots_only,
        )
        snapshot.scope = scope
        return snapshot

    # Syrupy's own is the whole transcript, wherever pytest shows the arguments of a test.
    def __repr__(self) -> str:
        return f"<prompt snapshot {self.name!r}>"

    def with_defaults(self, **options: Any) -> PromptSnapshot:
        other = super().with_defaults(**options)
        assert isinstance(other, PromptSnapshot)
        other.scope = self.scope
        return other

    def _assert(self, data: Any) -> bool:
        if self.scope.fault is not None:
            # What is asked after a fault is no prompt of the test: its plain run compares them.
            self._post_assert()
            return True
        # Here, since syrupy takes an error of its own serializing for a difference, which `!=` passes.
        self._text = transcript(_asked(data))
        if self.update_snapshots or self.update_new_snapshots_only:
            _refuse_credentials(self._text)
        try:
            if self.scope.expect_miss or not self.scope.missed:
                return self._compared(data)
            # What came after a miss follows from it, and it fails the test: a second failure would only hide it.
            self.compare_part(data)
            return True
        finally:
            self._text = None

    def _compared(self, data: Any) -> bool:
        self.test_location.item.stash.setdefault(COMPARED, set()).add(self._place)
        return super()._assert(data)

    def compare_part(self, data: Any) -> None:
        """Compare the prompts of a test that was cut short, accept none, and have its report say which have changed."""
        updating = self.update_snapshots, self.update_new_snapshots_only
        self.update_snapshots = self.update_new_snapshots_only = False
        self._compared(data)
        self.update_snapshots, self.update_new_snapshots_only = updating
        last = self.last
        if last.recalled_data is None or last.asserted_data is None:
            return
        last.success = holds(_text(last.recalled_data), _text(last.asserted_data))
        if not last.success:
            with colors(self.test_location.item.config):
                self._tell("\n".join(self.explanation(cut_short=True)))

    def _serialize(self, data: Any) -> Any:
        return super()._serialize(data) if self._text is None else self._text.encode()

    @property
    def exists(self) -> bool:
        """Whether a transcript was accepted for the next assertion."""
        return os.path.exists(self._place)

    @property
    def _place(self) -> str:
        return self.extension.get_location(test_location=self.test_location, index=self.index)

    # What is said of a difference

    @property
    def last(self) -> AssertionResult:
        """The comparison that was made last."""
        return self.executions[self.num_executions - 1]

    def get_assert_diff(self, *, diff_mode: DiffMode = DiffMode.DETAILED) -> list[str]:
        if self.last.exception is not None:
            return super().get_assert_diff(diff_mode=diff_mode)
        lines = self.explanation()
        self._tell("\n".join(lines), only_if_truncated=True)
        return lines

    def explanation(self, *, cut_short: bool = False) -> list[str]:
        """Why the prompts are not the accepted ones, how these are accepted, and what differs line by line."""
        last, detailed = self.last, self.test_location.item.config.option.diff_mode == DiffMode.DETAILED
        accepted = None if last.recalled_data is None else _text(last.recalled_data)
        changes = Changes(accepted or "", _text(last.asserted_data or b""), cut_short=cut_short)
        if accepted is None:
            head = [f"Snapshot {last.snapshot_name!r} does not exist!"]
        else:
            head = [f"changed: {cause}" for cause in changes.causes(self._compare)]
        head += [] if cut_short else [f"To accept: {self._command()}"]
        return head + ([_colored(line) for line in changes.lines()] if detailed else [])

    def _compare(self, recorded: Request, now: Request) -> Sequence[str]:
        return self.scope.session.compare(recorded, now, self.scope.opened)

    def _command(self) -> str:
        config, mode = self.test_location.item.config, self.scope.session.mode
        # What another mode has asked is not there to be replayed.
        options = [f"--llm-record={mode}"] if mode in ("all", "live") else []
        options += [OPTION] if config.getoption("llm_prompt_snapshots") else []
        return shlex.join(["pytest", *options, "--snapshot-update", self.test_location.nodeid])

    def _tell(self, text: str, *, only_if_truncated: bool = False) -> None:
        told = self.test_location.item.stash.setdefault(TOLD, [])
        told.append((self.last.snapshot_name, text, only_if_truncated))


class PromptTranscripts(SingleFileSnapshotExtension):
    """`__snapshots__/<module>/<test>.md`, one file per assertion."""

    file_extension = "md"

    # Form

    def serialize(self, data: Any, **options: Any) -> bytes:
        """Calls or requests as UTF-8; raises TypeError for other data."""
        return transcript(_asked(data)).encode()

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        return alike(_text(serialized_data), _text(snapshot_data))

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        return map(_colored, Changes(_text(snapshot_data), _text(serialized_data)).lines())

    def diff_snapshots(self, serialized_data: Any, snapshot_data: Any) -> bytes:
        return str(super().diff_snapshots(serialized_data, snapshot_data)).encode()

    # Place

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: int | str = 0) -> str:
        name = _test_name(test_location)
        if isinstance(index, str):
            shown, exact = _bracketed(index)
            return name + shown if exact else f"{name}{shown}-{_short_hash(index)}"
        return f"{name}.{index}" if index else name

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        path = Path(snapshot_location)
        if path.parent != Path(cls.dirname(test_location=test_location)):
            return False
        return _owner_of(test_location)(path.name.removesuffix(".md"))


def _owner_of(location: PyTestLocation) -> Callable[[str], bool]:
    """Whether a transcript of this name is a test's."""
    # Under pytest-xdist the location has no module that would say whether the test has a twin.
    names = {_test_name(location, twin=twin) for twin in (False, True)}
    begins = tuple(name + mark for name in names for mark in ".[")
    return lambda stem: stem in names or stem.startswith(begins)


def _refuse_credentials(text: str) -> None:
    """Raise SecretFound where a transcript that may be written holds the value of a credential's variable."""
    scrubbed = Session.scrub(text)
    if scrubbed != text:
        names = ", ".join(dict.fromkeys(name for name in _NAMES.findall(scrubbed) if f"<{name}>" not in text))
        raise SecretFound(
            f"the prompts of this test hold the value of the environment variable {names}: the snapshot would publish "
            "it. Pass something else, or mark the parameter Volatile[...]"
        )


def _asked(data: Any) -> Iterator[tuple[str | None, Request]]:
    for item in [data] if isinstance(data, Call | Request) else _iterated(data):
        if isinstance(item, Call):
            yield item.function, item.request
        elif isinstance(item, Request):
            yield None, item
        else:
            raise _unfit(item)


def _iterated(data: Any) -> Iterable[Any]:
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise _unfit(data)
    return data


def _unfit(data: Any) -> TypeError:
    return TypeError(
        f"{data!r} is neither call nor request: compare prompt_snapshot with llm_calls, with what a call log holds, or "
        "with `function.request(...)`, or a list of these; for other data there is syrupy's own fixture `snapshot`"
    )


def _text(data: Any) -> str:
    """A transcript as it was written: a checkout may have turned its line ends, and it holds no other \\r."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
    return text.replace("\r\n", "\n")


# In colours

_MARKS = {" ": "  ", "-": "- ", "+": "+ ", "?": "? ", ".": ""}
_STYLES = {
    "-": (terminal.snapshot_style, terminal.snapshot_diff_style),
    "+": (terminal.received_style, terminal.received_diff_style),
}


def _colored(line: Line) -> str:
    """A line of a difference in syrupy's colours, if these are on."""
    mark, text, words = line
    if mark not in _STYLES:
        return terminal.reset(terminal.context_style(_MARKS[mark] + text))
    style, of_words = _STYLES[mark]
    pieces, done = [style(_MARKS[mark])], 0
    for start, end in words:
        pieces += [style(text[done:start])] * (start > done) + [of_words(text[start:end])]
        done = end
    return terminal.reset("".join([*pieces, style(text[done:])]))


def colors(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    """Colours as syrupy has them in the explanation of an assertion."""
    return terminal.disable_color() if config.option.no_colors else contextlib.nullcontext()


# Names that no two tests share, on any file system

_UNSAFE = re.compile(r"[^A-Za-z0-9_.,=+@()-]+")
_LONGEST = 100


def _test_name(location: PyTestLocation, *, twin: bool | None = None) -> str:
    """`TestC.test_y[p]`. Syrupy finds the test of a file by what stands before the bracket, so that is kept."""
    full = location.snapshot_name
    base, bracket, parameters = full.partition("[")
    shown, exact = _bracketed(parameters.removesuffix("]")) if bracket else ("", True)
    if exact and not (_has_twin(location) if twin is None else twin):
        return base + shown
    return f"{base}{shown}-{_short_hash(full)}"


def _bracketed(text: str) -> tuple[str, bool]:
    """`[text]` as part of a file's name; False where another text may give the same name on some file system."""
    safe = _UNSAFE.sub("-", text)[:_LONGEST]
    return f"[{safe}]", safe == text == text.lower()


def _short_hash(identity: str) -> str:
    return sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _has_twin(location: PyTestLocation) -> bool:
    """Whether the module or class has another name that differs in upper and lower case only."""
    namespace = getattr(location.item, "module", None)
    for name in location.snapshot_name.partition("[")[0].split("."):
        if any(other != name and other.lower() == name.lower() for other in dir(namespace)):
            return True
        namespace = getattr(namespace, name, None)
    return False


# The report


def report(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failed test what its assertions could not say, and keep its transcripts."""
    for name, text, only_if_truncated in item.stash.get(TOLD, []):
        if not only_if_truncated or _TRUNCATED in report.longreprtext:
            report.sections.append((f"prompt snapshot {name}", text))
    item.stash[TOLD] = []
    keep(item)


def keep(item: pytest.Item) -> None:
    """Keep the transcripts that a failed test did not come to compare: to syrupy they look unused.

    Otherwise `pytest --snapshot-update` would delete the transcript of a test whose prompt has changed,
    when all that is missing is the recording.
    """
    compared = item.stash.setdefault(COMPARED, set())
    left = [file for file in _files(PyTestLocation(item)) if file not in compared]
    if not left:
        return
    assertion = SnapshotAssertion(
        session=item.config._syrupy,  # type: ignore[attr-defined]  # where syrupy's own fixture finds its session
        extension_class=PromptTranscripts,
        test_location=PyTestLocation(item),
        update_snapshots=False,
    )
    for file in left:
        compared.add(file)
        assertion.executions[len(assertion.executions)] = AssertionResult(
            snapshot_location=file,
            snapshot_name=Path(file).name.removesuffix(".md"),
            asserted_data=None,
            recalled_data=None,
            created=False,
            updated=False,
            success=False,
            exception=None,
            test_location=assertion.test_location,
        )


def _files(location: PyTestLocation) -> list[str]:
    """The transcripts of a test."""
    folder = Path(PromptTranscripts.dirname(test_location=location))
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".md")]
    except OSError:
        return []
    is_own = _owner_of(location)
    return [str(folder / name) for name in names if is_own(name.removesuffix(".md"))]
