"""A scope that replays from a cassette and records into it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from llm_strategy.cassette.account import Account
from llm_strategy.cassette.blob_files import credential_in_contents
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.facts import Facts
from llm_strategy.cassette.miss import explain, shown
from llm_strategy.cassette.missed import Missed
from llm_strategy.cassette.modes import Mode
from llm_strategy.cassette.replaced import keep
from llm_strategy.cassette.rerecording import begin, complete, find_fresh, new_path
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.cassette.turns import CassetteTurn, LiveTurn
from llm_strategy.context import Ask, Scope, Stream, Turn
from llm_strategy.errors import CassetteMiss, SecretFound
from llm_strategy.known_secrets import described, known
from llm_strategy.log import Call
from llm_strategy.transcript import message_text
from llm_strategy.wire.envelope import HTTPRequest

if TYPE_CHECKING:
    from llm_strategy.cassette.project import Project
    from llm_strategy.signature import Signature
    from llm_strategy.volatility.watch import Recordings


@dataclass(frozen=True)
class Rules:
    """How a scope uses its cassette.

    `owner` names the test or fixture whose scope it is, `shared` says that others use the cassette
    too, `repeat="last"` replays the last recording for all later equal requests, `refusal` is why
    recording is not allowed here, if it is not. `command` records what is missing. `alongside` tells apart
    runs that record into the same cassette afresh at the same time. `http` takes in what clients send over HTTP.
    `expect_miss` says that nobody need do anything about a miss.
    """

    mode: Mode = "replay"
    owner: str | None = None
    shared: bool = False
    command: str | None = None
    repeat: Literal["last"] | None = None
    refusal: str | None = None
    alongside: int = 0
    http: bool = False
    expect_miss: bool = False


@dataclass
class Usage:
    """What a scope took from its cassette, by (key, occurrence) in request order.

    `recorded` are the recordings that it made, by their own numbers: an answer that comes early is written early.
    So until they have been put in order, a call that was recorded has the number of its recording. `unanswered` are
    requests that the model failed to answer, which the code under test may have got over. `fresh` are the calls that a
    model was asked, by their places in request order, with the signature of the function that asked, where it is here.
    `http` says whether any was an HTTP call.
    """

    calls: dict[int, tuple[str, int]] = field(default_factory=dict)
    recorded: set[tuple[str, int]] = field(default_factory=set)
    unanswered: set[tuple[str, int]] = field(default_factory=set)
    fresh: dict[int, Signature | None] = field(default_factory=dict)
    written: int = 0
    http: bool = False

    def ordered(self) -> Sequence[tuple[str, int]]:
        return [call for _, call in sorted(self.calls.items())]

    def recorded_as(self, place: int, entry: Entry) -> None:
        """Note which recording a call has got."""
        call = self.calls[place] = (entry.key, entry.occurrence)
        self.recorded.add(call)
        self.written += 1

    def renumber(self) -> None:
        """The recordings stand in request order now, and so do their numbers."""
        counts: Counter[str] = Counter()
        numbers: dict[tuple[str, int], int] = {}
        for place, call in sorted(self.calls.items()):
            if call not in numbers:
                counts[call[0]] += 1
                numbers[call] = counts[call[0]]
            self.calls[place] = (call[0], numbers[call])


class CassetteScope(Scope):
    """Calls that belong to one cassette. Touches no file before the first call.

    `renders_twice` says whether what is recorded is rendered in a second process too. `before` is what the cassette
    held before this scope recorded anything. Where a report will tell of them, `blocks` are the scopes of
    `use_cassette` right inside this one, and `steps` is what that report keeps.
    """

    renders_twice = True

    def __init__(
        self,
        path: Path,
        rules: Rules,
        *,
        account: Account | None = None,
        project: Project | None = None,
        parent: Scope | None = None,
        default_model: str | None = None,
        facts: Facts | None = None,
    ) -> None:
        super().__init__(parent, default_model)
        self.path = path
        self.rules = rules
        self.account = account if account is not None else Account()
        self.project = project
        self.facts = facts or Facts()
        self.misses: list[CassetteMiss] = []
        self.usage = Usage()
        self.before: Recordings | None = None
        self.blocks: list[CassetteScope] = []
        self.steps: list[Any] = []
        self._connections: set[str] = set()
        self._streams: WeakSet[Stream] = WeakSet()
        self._waiting: list[Callable[[bool], None]] = []
        self._lock = threading.Lock()
        self._file: CassetteFile | None = None

    @property
    def http(self) -> bool:
        return self.rules.http

    @property
    def recording_path(self) -> Path:
        """Where answers are written: in mode `all`, beside the cassette until the test has passed."""
        return new_path(self.path, self.rules.alongside) if self.rules.mode == "all" else self.path

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about a miss besides recording, in lines."""
        return ()

    @property
    def recorded_by(self) -> str | None:
        """The test that a cassette names as its own."""
        return None if self.rules.shared else self.rules.owner

    @property
    def is_heard(self) -> bool:
        """Whether the calls stand in the log of a test or fixture around it as well."""
        around = self.parent
        while around is not None and not (isinstance(around, CassetteScope) and around.hears_inner):
            around = around.parent
        return around is not None

    @property
    def touched(self) -> bool:
        """Whether any call needed the cassette."""
        return self._file is not None

    @property
    def file(self) -> CassetteFile:
        with self._lock:
            if self._file is None:
                self._file = open_file(self.recording_path)
            return self._file

    # The path of a call

    def enter(self, ask: Ask) -> Turn:
        __tracebackhide__ = True
        if ask.source is not None and not ask.source.recorded:
            return self._begin(ask)
        if self.rules.mode == "live":
            return LiveTurn(self, self._places(), ask, self.calls.next_occurrence(ask.request.key))
        ask = self._with_model(ask)
        key = ask.request.key
        occurrence = self.calls.next_occurrence(key)
        self.usage.http = self.usage.http or isinstance(ask.request, HTTPRequest)
        places = self._places()
        self.usage.calls[places[0][1]] = (key, occurrence)
        entry = self._find(key, occurrence)
        if entry is None:
            self._may_record(ask, occurrence)
        return CassetteTurn(self, places, ask, occurrence, entry)

    def is_recorded(self, key: str) -> bool:
        """Whether a request with this key may be answered by a recording."""
        return self.rules.mode not in ("live", "all") and self.file.find(key, 1) is not None

    def _find(self, key: str, occurrence: int) -> Entry | None:
        if self.rules.mode == "all":
            return find_fresh(self, key, occurrence)
        return self.file.find(key, occurrence, repeat_last=self.rules.repeat == "last")

    def find_newest(self, key: str, occurrence: int) -> Entry | None:
        """The recording that a request has got meanwhile, from another thread or process."""
        if self.rules.mode == "all":
            with self.file.locked():
                return find_fresh(self, key, occurrence)
        self.file.refresh()
        return self.file.find(key, occurrence)

    def write(self, call: Call) -> Entry:
        """Record an answer; it is on the disk when this returns."""
        folder = self.project.folder if self.project else None
        if self.rules.mode != "all":
            self._keep_accepted()
            return self.file.append(call, self.recorded_by, folder)
        with self.file.locked():
            begin(self)
            complete(self, call.key)
            return self.file.append(call, self.recorded_by, folder)

    def copy(self, entry: Entry) -> Entry:
        """Record another cassette's answer."""
        self._keep_accepted()
        return self.file.append_copy(entry, self.recorded_by)

    def _keep_accepted(self) -> None:
        """Before anything comes to a cassette with one owner, from which the session may remove what that replaces."""
        if self.rules.shared or self.usage.written:
            return
        try:
            with self.file.locked():
                keep(self.path)
        except OSError as error:
            self.note(f"{shown(self.path)}: what it held cannot be kept for a review ({error})")

    def _with_model(self, ask: Ask) -> Ask:
        """Without a configured model, the recordings say which one it was."""
        if ask.source is not None or self.rules.mode == "all":
            return ask
        for model in self.file.models:
            request = replace(ask.request, model=model)
            if self.file.find(request.key, 1):
                return ask._replace(request=request)
        models = self.file.models
        return ask._replace(request=replace(ask.request, model=models[0])) if models else ask

    def _may_record(self, ask: Ask, occurrence: int) -> None:
        """Refuse what this scope must not ask: in replay, or with a credential in it."""
        __tracebackhide__ = True
        if not self.may_ask:
            self.miss(ask, occurrence)
        self.check_secrets(ask)

    @property
    def may_ask(self) -> bool:
        return self.rules.mode not in ("replay", "dry") and self.rules.refusal is None

    def check_secrets(self, ask: Ask) -> None:
        """Refuse a request that could not be recorded without writing a credential down."""
        secrets = known()
        name = secrets.find(f"{self.rules.owner} {self.path}")
        if name is not None:
            raise _secret("the name of the test or of its cassette", name, ", or give the parameter an id")
        for subject, text, _ in ask.site.blocks:
            name = secrets.find(text)
            if name is not None:
                raise _secret(f"{subject} of {ask.site.function}", name, _VOLATILE)
        for message in ask.request.messages:
            name = secrets.find(message.content)
            if name is not None:
                raise _secret(f"a message to {ask.site.function or 'a model'} (role {message.role})", name)
            if message.role == "tool" and (name := secrets.find(message_text(message))) is not None:
                raise _secret(f"what a tool returned to {ask.site.function or 'a model'}", name, _VOLATILE_RESULT)
        found = credential_in_contents(ask.request, secrets)
        if found is not None:
            size, name = found
            where = f"a file of {size:,} bytes that is given to {ask.site.function or 'a model'}"
            raise _secret(where, name, _VOLATILE if ask.site.function else "")

    def miss(self, ask: Ask, occurrence: int) -> None:
        """Raise CassetteMiss, and keep it: whatever the code under test catches, the test must fail."""
        __tracebackhide__ = True
        raise self.keep(explain(self, ask, occurrence), ask)

    def keep(self, error: CassetteMiss, ask: Ask | None = None) -> CassetteMiss:
        """Take in a miss, each of them once; what was not asked in a known format is told apart by its text."""
        with self._lock:
            if _identity(error) not in map(_identity, self.misses):
                self.misses.append(error)
                self.account.count(missed=1)
                self.account_for(error, ask.request.key if ask else "")
                if self.rules.mode == "dry":
                    if ask is not None:
                        self.account.would_ask(ask.request)
                    function = (ask and ask.site.function) or "a model"
                    asked = f"{function} would ask {ask.request.model}" if ask else str(error).splitlines()[0]
                    self.account.notes.append(f"{self.rules.owner or self.path}: {asked}")
        return error

    def account_for(self, miss: CassetteMiss, key: str) -> None:
        """Have the account say why a request was missed, and what mends it."""
        if not self.rules.expect_miss:
            self.account.miss(Missed.of(miss, self.rules.owner or str(self.path), key), miss.diff)

    def watch(self, stream: Stream) -> None:
        """Take in a stream that ends with this scope at the latest."""
        with self._lock:
            self._streams.add(stream)

    def close(self) -> None:
        """End the scope, and every stream in it: what these have got so far belongs to its recording."""
        super().close()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.end()

    def at_end(self, settle: Callable[[bool], None]) -> None:
        """Have `settle` called when the scope has ended, with whether what it belongs to has passed."""
        with self._lock:
            self._waiting.append(settle)

    def end(self, *, passed: bool) -> None:
        """Close the scope, and settle what could only wait for its end."""
        self.close()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for settle in waiting:
            settle(passed)

    def note(self, text: str) -> None:
        """Say something in the account, once."""
        self.account.note(text)

    def connected(self, host: str) -> None:
        """Keep account of a connection that was made while nothing in a known format was asked."""
        self._connections.add(host)

    @property
    def captured_nothing(self) -> str | None:
        """What to say of a recording that has no HTTP call, although there were connections."""
        if not self._connections or self.usage.http or self.rules.mode not in ("new", "all"):
            return None
        return (
            f"no HTTP call was recorded while {', '.join(sorted(self._connections))} was connected to (by "
            f"{self.rules.owner or self.path}): either that host is none whose traffic is recorded (llm_http_hosts), "
            "or this client is none (docs/reference/http-reach.md)"
        )

    def left(self, block: CassetteScope) -> None:
        """A `use_cassette` block in this scope has closed. Who keeps account of that is a session, or further out."""
        if isinstance(self.parent, CassetteScope):
            self.parent.left(block)

    def elsewhere(self, key: str, occurrence: int) -> Entry | None:
        """The same call in another cassette of the project."""
        return None if self.project is None else self.project.find(key, occurrence, apart_from=self.path)

    def copies(self) -> bool:
        return self.rules.mode == "new"

    def recorded_as(self, place: int, entry: Entry) -> None:
        """Keep account of which recording the call at this place of the log has got."""
        self.usage.recorded_as(place, entry)

    def mended(self, repairs: tuple[str, ...]) -> None:
        """Keep account of a reply that had to be repaired."""
        self.account.mended(repairs)

    def changes(self, function: str, finding: str, value: str, key: str) -> None:
        """Keep account of a value in a recorded prompt that the next run will not have."""
        self.account.changes(function, finding, value, key)


def _identity(miss: CassetteMiss) -> tuple[object, str | None]:
    return miss.request or str(miss), miss.function


_VOLATILE = ", or mark the parameter Volatile[...]"
_VOLATILE_RESULT = ", or let the tool return Volatile[...]"


def _secret(where: str, name: str, cure: str = "") -> SecretFound:
    return SecretFound(
        f"{where} holds {described(name)}: recorded, it would be published with the cassette. Pass something else{cure}"
    )
