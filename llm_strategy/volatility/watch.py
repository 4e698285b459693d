"""What the recorded calls of a process hold that will differ in the next run."""

from __future__ import annotations

import json
import linecache
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llm_strategy.caller import callers
from llm_strategy.redaction import placeholders, scrub
from llm_strategy.volatility import HTTP_CALL
from llm_strategy.volatility.kinds import NOW, TODAY, Sighting, sightings
from llm_strategy.volatility.second_process import second_process
from llm_strategy.wire.envelope import HTTPRequest

if TYPE_CHECKING:
    from llm_strategy.context import Ask

Report = Callable[[str, str, str, str], None]
"""Takes function, what changes in which part of its prompt, the value as it may be shown, and the key of the call."""


def _now() -> datetime:
    """The present, also where a test has stopped the clock: what it shows then is the same in the next run."""
    seconds = time.clock_gettime(time.CLOCK_REALTIME) if hasattr(time, "clock_gettime") else time.time()
    return datetime.fromtimestamp(seconds, UTC).astimezone()


STARTED = _now()
"""What a file held before this process began was not made in it."""

_LARGEST = 1 << 20
"""Characters of a part of a prompt; a longer one is not looked through."""
_SHOWN = 60


class Document(Protocol):
    """A recorded call as it stands in its file."""

    @property
    def raw(self) -> bytes: ...


class Recordings(NamedTuple):
    """What a cassette held before the first call that this process recorded, and when it was written."""

    documents: Sequence[Document]
    written: datetime

    def know(self, sighting: Sighting, now: datetime) -> bool:
        """Whether an earlier run has had the same value, so that it is none that changes."""
        if sighting.kind in (TODAY, NOW):
            earlier = self.written.date() < now.date()
        else:
            earlier = self.written < STARTED
        literal = sighting.literal.encode()
        return earlier and any(literal in document.raw for document in self.documents)


def source_files(ask: Ask, owner: str | None) -> list[str]:
    """The files in which a constant of this call may stand: of the function, of its callers, of the test."""
    files = [ask.site.file] if ask.site.file else []
    if owner is not None:
        files.append(owner.partition("::")[0])
    return list(dict.fromkeys([*files, *(file for file, _ in callers())]))


def look_at(
    ask: Ask, files: Sequence[str], recordings: Recordings | None, report: Report, again: bytes | None = None
) -> None:
    """Report each thing in the prompt of a call that will not be the same in the next run.

    `again` is what it takes to render the prompt in a second process too.
    """
    now = _now()
    name = ask.site.function or (HTTP_CALL if isinstance(ask.request, HTTPRequest) else "a model call")
    told: dict[str, str] = {}
    for subject, text in _pieces(ask):
        for sighting in _seen(text, now):
            if _is_constant(sighting, files) or (recordings is not None and recordings.know(sighting, now)):
                continue
            finding = f"{subject}{_path(text, sighting.literal)}: {sighting.kind}"
            if finding not in told:
                told[finding] = subject
                report(name, finding, _shown(sighting.value), ask.request.key)
    if again is not None:
        second_process().render(again, ask.site, ask.request.key, report, set(told.values()))


def _pieces(ask: Ask) -> Iterator[tuple[str, str]]:
    """The parts of a prompt, each with what it is, as they stand in the key."""
    if ask.site.blocks:
        yield from ((subject, placeholders(text)) for subject, text, _ in ask.site.blocks if len(text) < _LARGEST)
        return
    if isinstance(ask.request, HTTPRequest) and ask.request.understood is None:
        # It is no prompt: what providers make up, names of files above all, stands among the rest.
        return
    for message in ask.request.messages:
        # What a model or a tool has said is no doing of this program.
        if message.role in ("system", "user") and len(message.content) < _LARGEST:
            yield f"a message ({message.role})", placeholders(message.content)


def _seen(text: str, now: datetime) -> Sequence[Sighting]:
    return _seen_in_minute(text, now.replace(second=0, microsecond=0))


@lru_cache(maxsize=256)
def _seen_in_minute(text: str, now: datetime) -> Sequence[Sighting]:
    """The head of a prompt is the same in all calls of a function, and is looked through once a minute."""
    return tuple(sightings(text, now))


def _is_constant(sighting: Sighting, files: Sequence[str]) -> bool:
    return any(sighting.literal in _source(file) for file in files)


@lru_cache(maxsize=256)
def _source(file: str) -> str:
    # It knows the cells of a notebook too, which are in no file.
    return "".join(linecache.getlines(file))


def _path(text: str, literal: str) -> str:
    """Where in an argument it stands, as ` (.order.id)`; empty where the argument is nothing but it."""
    _, equals, value = text.partition(" = ")
    if not equals or not value.startswith(("{", "[")):
        return ""
    try:
        path = _path_in(json.loads(value), literal)
    except (ValueError, RecursionError):
        return ""
    return f" ({path})" if path else ""


def _path_in(value: Any, literal: str) -> str | None:
    if isinstance(value, dict):
        for name, item in value.items():
            if (rest := _path_in(item, literal)) is not None:
                return (f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]") + rest
    elif isinstance(value, list):
        for item in value:
            if (rest := _path_in(item, literal)) is not None:
                return f"[]{rest}"
    elif literal in placeholders(value) if isinstance(value, str) else literal == json.dumps(value):
        return ""
    return None


def _shown(value: str) -> str:
    text = json.dumps(scrub(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
