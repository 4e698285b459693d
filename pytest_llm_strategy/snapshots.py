"""`assert llm_calls == prompt_snapshot`: transcripts beside the test, compared and accepted by syrupy.

Importing this module needs syrupy; the fixture does it, so that a project without snapshots needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_strategy import Call, Request, SecretFound, Session
from pytest_llm_strategy.transcript import alike, in_order_of, transcript

try:
    from syrupy.assertion import AssertionResult, SnapshotAssertion
    from syrupy.extensions.single_file import SingleFileSnapshotExtension
    from syrupy.location import PyTestLocation
except ModuleNotFoundError:
    raise pytest.fail.Exception(
        'the fixture prompt_snapshot needs syrupy: pip install "llm-strategy[test]"', pytrace=False
    ) from None

if TYPE_CHECKING:
    from pytest_llm_strategy.scopes import TestScope

SCOPE = pytest.StashKey["TestScope"]()
COMPARED = pytest.StashKey[set[str]]()
_NAMES = re.compile(r"<(\w+)>")


def prompt_snapshot(request: pytest.FixtureRequest, test_scope: TestScope) -> PromptSnapshot:
    """What `llm_calls`, a request or a list of requests is compared with, for the test of a fixture's request."""
    try:
        snapshot = request.getfixturevalue("snapshot")
    except pytest.FixtureLookupError:
        raise pytest.fail.Exception(
            "the fixture prompt_snapshot needs the plugin of syrupy, which is switched off: run pytest without "
            "`-p no:syrupy`, or with `-p syrupy` where plugins are not loaded by themselves",
            pytrace=False,
        ) from None
    item = request.node
    item.stash[SCOPE] = test_scope
    return PromptSnapshot(
        session=snapshot.session,
        extension_class=PromptTranscripts,
        test_location=snapshot.test_location,
        update_snapshots=snapshot.update_snapshots,
        update_new_snapshots_only=snapshot.update_new_snapshots_only,
    )


class PromptSnapshot(SnapshotAssertion):
    """A syrupy assertion that accepts no transcript of a test whose calls were cut short by a miss."""

    # Syrupy's own is the whole transcript, wherever pytest shows the arguments of a test.
    def __repr__(self) -> str:
        return f"<prompt snapshot {self.name!r}>"

    def _assert(self, data: Any) -> bool:
        location = self.extension.get_location(test_location=self.test_location, index=self.index)
        item = self.test_location.item
        item.stash.setdefault(COMPARED, set()).add(location)
        scope = item.stash[SCOPE]
        if self.update_snapshots:
            _refuse_credentials(data)
        if scope.expect_miss or not scope.session.missed(scope.opened):
            return super()._assert(data)
        # Up to the miss it is the recorded conversation, and what came after follows from the miss, which
        # fails the test: a second failure would only hide the first.
        updating = self.update_snapshots, self.update_new_snapshots_only
        self.update_snapshots = self.update_new_snapshots_only = False
        super()._assert(data)
        self.update_snapshots, self.update_new_snapshots_only = updating
        return True


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
        recorded = _text(snapshot_data)
        return super().diff_lines(in_order_of(_text(serialized_data), recorded), recorded)

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
        stem = path.name.removesuffix(".md")
        # Under pytest-xdist the location has no module that would say whether the test has a twin.
        names = {_test_name(test_location, twin=twin) for twin in (False, True)}
        return stem in names or any(stem.startswith((f"{name}.", f"{name}[")) for name in names)


def _refuse_credentials(data: Any) -> None:
    """Raise SecretFound where a transcript that may be written holds the value of a credential's variable."""
    text = transcript(_asked(data))
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


def keep(item: pytest.Item) -> None:
    """Keep the transcripts that a failed test did not come to compare: to syrupy they look unused.

    Otherwise `pytest --snapshot-update` would delete the transcript of a test whose prompt has changed,
    when all that is missing is the recording.
    """
    location = PyTestLocation(item)
    compared = item.stash.setdefault(COMPARED, set())
    assertion = SnapshotAssertion(
        session=item.config._syrupy,  # type: ignore[attr-defined]  # where syrupy's own fixture finds its session
        extension_class=PromptTranscripts,
        test_location=location,
        update_snapshots=False,
    )
    for file in map(str, Path(PromptTranscripts.dirname(test_location=location)).glob("*.md")):
        own = PromptTranscripts.matches_test_location(test_location=location, snapshot_location=file)
        if own and file not in compared:
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
                test_location=location,
            )
