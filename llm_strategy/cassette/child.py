"""A child process takes part in its parent's scope, and reports to it by a journal."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.facts import Facts
from llm_strategy.cassette.journal import tell
from llm_strategy.cassette.project import Project
from llm_strategy.cassette.run import Run, use_of_block
from llm_strategy.cassette.scope import CassetteScope, Rules
from llm_strategy.cassette.turns import CassetteTurn
from llm_strategy.context import Ask, Scope, Turn, Unknown
from llm_strategy.errors import CassetteMiss
from llm_strategy.log import Call
from llm_strategy.wire.envelope import HTTPRequest


def open_child(described: str) -> Scope:
    """The scope of the parent process, as its child takes part in it."""
    said = json.loads(described)
    scope = _ChildScope(
        Path(said["path"]),
        Rules(**said["rules"]),
        Path(said["journal"]),
        project=Project(Path(said["folder"])) if said["folder"] else None,
        default_model=said["model"],
        facts=Facts(Path(said["facts"])),
    )
    _end_with_process(scope)
    return scope


def _end_with_process(scope: CassetteScope) -> None:
    """Have a scope end with this process, well unless an error ends it."""

    def end() -> None:
        scope.end(passed=getattr(sys, "last_value", None) is None)

    atexit.register(end)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        # Its children end without doing what was registered above.
        multiprocessing.Finalize(None, end, exitpriority=0)


def open_unknown(_described: str) -> Scope:
    """The scope of a process that was started while several blocks were open side by side."""
    return Unknown(
        "a child process that was started while several use_cassette blocks were open, and cannot know which one it "
        "belongs to: open the block inside it",
        "a child process without its block",
    )


class _ChildScope(CassetteScope):
    """Tells the parent by a journal which recordings were used, and what was missed."""

    renders_twice = False

    def __init__(self, path: Path, rules: Rules, journal: Path, **known: Any) -> None:
        super().__init__(path, rules, **known)
        self._journal = journal

    def enter(self, ask: Ask) -> Turn:
        turn = super().enter(ask)
        if isinstance(turn, CassetteTurn):
            used = (turn.ask.request.key, turn.occurrence)
            said = {"used": used, "replayed": turn.call is not None, "place": (os.getpid(), turn.place)}
            self._tell({**said, "http": isinstance(ask.request, HTTPRequest)})
        return turn

    def keep(self, error: CassetteMiss, ask: Ask | None = None) -> CassetteMiss:
        known = len(self.misses)
        super().keep(error, ask)
        if len(self.misses) > known:
            key = ask.request.key if ask else ""
            self._tell({"miss": (str(error), {name: getattr(error, name) for name in _TOLD}), "key": key})
        return error if parent_process() is None else _HandedOn.of(error)

    def note(self, text: str) -> None:
        self._tell({"note": text})

    def connected(self, host: str) -> None:
        self._tell({"connected": host})

    def recorded_as(self, place: int, entry: Entry) -> None:
        super().recorded_as(place, entry)
        said = {"recorded": (entry.key, entry.occurrence), "place": (os.getpid(), place)}
        self._tell({**said, "fresh": place in self.usage.fresh})

    def end(self, *, passed: bool) -> None:
        super().end(passed=passed)
        self.account.saved(self.calls)
        self._tell({"tokens": self.account.tokens.to_json()})

    def left(self, block: CassetteScope) -> None:
        self.account.tokens.add(block.account.tokens.to_json())
        self._tell({"block": str(block.path), "use": use_of_block(block)})

    def mended(self, repairs: tuple[str, ...]) -> None:
        self._tell({"repairs": repairs})

    def changes(self, function: str, finding: str, value: str, key: str) -> None:
        self._tell({"changes": (function, finding, value, key)})

    def _tell(self, line: dict[str, object]) -> None:
        tell(self._journal, line)


class _HandedOn(CassetteMiss, Exception):
    """A miss in a worker of `multiprocessing`: a pool takes only exceptions back, and waits forever for other results.

    The test that the worker belongs to fails by the journal, whatever becomes of this.
    """

    @classmethod
    def of(cls, miss: CassetteMiss) -> _HandedOn:
        handed = cls(*miss.args)
        handed.__dict__.update(vars(miss))
        return handed

    def __reduce__(self) -> tuple[Any, ...]:
        plain = CassetteMiss(*self.args)
        plain.__dict__.update(vars(self))
        return plain.__reduce__()


# What it is called in a traceback; what is pickled is a plain miss.
_HandedOn.__name__ = _HandedOn.__qualname__ = CassetteMiss.__name__
_HandedOn.__module__ = CassetteMiss.__module__


def read_journal(scope: CassetteScope, journal: Path, run: Run | None) -> None:
    """Take in what child processes did in a scope, and in blocks of their own in a run, if it is part of one."""
    places: dict[tuple[int, ...], int] = {}
    for line in journal.read_text("utf-8").splitlines():
        said = json.loads(line)
        if "miss" in said:
            text, told = said["miss"]
            miss = CassetteMiss(text, **told)
            scope.misses.append(miss)
            scope.account.count(missed=1)
            scope.account_for(miss, said["key"])
        elif "note" in said:
            scope.note(said["note"])
        elif "connected" in said:
            scope.connected(said["connected"])
        elif "repairs" in said:
            scope.account.mended(tuple(said["repairs"]))
        elif "tokens" in said:
            scope.account.tokens.add(said["tokens"])
        elif "changes" in said:
            scope.changes(*said["changes"])
        elif "block" in said:
            if run is not None:
                run.block(Path(said["block"]), scope.rules.owner, *said["use"])
        elif "recorded" in said:
            # As in the parent, whose calls have the numbers of their recordings until these are in order.
            if (place := places.get(tuple(said["place"]))) is not None:
                scope.usage.calls[place] = tuple(said["recorded"])
                scope.usage.fresh |= {place: None} if said["fresh"] else {}
        else:
            places[tuple(said["place"])] = _used(scope, said)
    journal.unlink()


def _used(scope: CassetteScope, said: Mapping[str, Any]) -> int:
    """Take in a call, and give it a place."""
    place = len(scope.usage.calls) + _CHILDREN
    scope.usage.calls[place] = tuple(said["used"])
    scope.usage.written += not said["replayed"]
    scope.usage.http = scope.usage.http or said["http"]
    scope.account.count(**{"replayed" if said["replayed"] else "asked": 1})
    # Looked into, so that the end of the scope puts in order what its children recorded.
    scope.file.refresh()
    return place


_TOLD = ("function", "causes", "file", "line", "diff", "nearest", "command")
"""What is told of a miss beside its text; its request stays in the child."""
_CHILDREN = 1 << 40
"""Calls of child processes stand behind the parent's own in request order."""


def of_children(scope: CassetteScope) -> Iterator[Call]:
    """The calls that child processes made in a scope, as they are recorded."""
    for place, (key, occurrence) in sorted(scope.usage.calls.items()):
        entry = scope.file.find(key, occurrence) if place >= _CHILDREN else None
        if entry is not None:
            yield replace(entry.call(occurrence), replayed=place not in scope.usage.fresh)
