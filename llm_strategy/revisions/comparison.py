"""The calls that differ between two revisions, grouped by what changed in their prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from llm_strategy.cassette.changes import Change
from llm_strategy.cassette.miss import shown_place
from llm_strategy.cassette.verdicts import VERDICTS
from llm_strategy.difference.hunks import visible
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import conceal, scrub_reply
from llm_strategy.revisions.matching import became, matched
from llm_strategy.revisions.recordings import Sides
from llm_strategy.values import JSON

_AGAIN = "asked again, same prompt"
_TITLES = {"answer changed": _AGAIN, "added": "new calls", "removed": "calls that are gone"}


def clean(text: str) -> str:
    """A text fit to be shown: without secrets, and with what would steer a terminal, or hide, as escapes."""
    return visible(conceal(text))


@dataclass(frozen=True)
class Located:
    """A call that differs, and the test that asks it."""

    change: Change
    owner: str

    @property
    def name(self) -> str:
        entry = self.change.new or self.change.old
        return clean(scrub_reply((entry and entry.function) or "a call"))

    @property
    def place(self) -> str:
        """Where the call stands, in the newer revision if it is there."""
        entry = self.change.new or self.change.old
        assert entry is not None
        return clean(scrub_reply(shown_place(entry)))

    def lines(self) -> list[str]:
        """What is to be seen of it: how the answer differs, or what was asked and answered where there is one side."""
        if self.change.verdict is None:
            return [clean(line) for line in list(self.change.lines())[1:]]
        return [clean(line) for line in self.change.reply.lines()]


@dataclass(frozen=True)
class Group:
    """Calls that differ for the same reason."""

    title: str
    calls: Sequence[Located]

    @property
    def tests(self) -> Sequence[str]:
        return [clean(owner) for owner in dict.fromkeys(call.owner for call in self.calls)]

    @property
    def prompt(self) -> Sequence[str]:
        """How the prompt differs, by the example of the first call; nothing where it does not."""
        return [clean(line) for line in self.calls[0].change.prompt.splitlines()]

    @cached_property
    def verdicts(self) -> Counter[str]:
        return Counter(call.change.verdict or "" for call in self.calls if call.change.verdict is not None)

    @cached_property
    def told(self) -> Sequence[Located]:
        """The calls of which there is more to see than that they belong here, those that changed most first."""
        found = [call for call in self.calls if call.change.verdict != "identical"]
        return sorted(found, key=lambda call: -VERDICTS.index(call.change.verdict) if call.change.verdict else 0)

    def to_json(self) -> dict[str, JSON]:
        changes = [{"test": call.owner, **call.change.to_json()} for call in self.calls]
        return {"cause": self.title, "tests": list(self.tests), "changes": changes}


@dataclass(frozen=True)
class Comparison:
    """All that differs between two revisions, which `name` says.

    `moved` calls only stand elsewhere; `problems` say which files, or calls, cannot be read.
    """

    name: str
    groups: Sequence[Group]
    moved: int
    problems: list[str] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """As `17 prompts changed, 2 calls added, in 3 cassettes`."""
        changes = [call.change for group in self.groups for call in group.calls]
        counts = Counter(change.kind for change in changes)
        said = ", ".join(_counted(kind, counts[kind]) for kind in sorted(counts))
        cassettes = {entry.path for change in changes for entry in (change.old, change.new) if entry is not None}
        moved = f"; {number(self.moved, 'call')} moved" if self.moved else ""
        return (f"{said}, in {number(len(cassettes), 'cassette')}" if said else "no call differs") + moved

    @property
    def answers(self) -> str:
        """As `12 identical, 1 value changed`; empty where no call has two answers."""
        counts = sum((group.verdicts for group in self.groups), Counter[str]())
        return told_verdicts(counts)


def told_verdicts(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in VERDICTS if counts[name])


def size(group: Group) -> str:
    """As `17 calls in 9 tests`."""
    return f"{number(len(group.calls), 'call')} in {number(len(group.tests), 'test')}"


def number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _counted(kind: str, count: int) -> str:
    noun, _, what = (kind if " " in kind else f"call {kind}").partition(" ")
    return f"{number(count, noun)} {what}"


def compared(name: str, sides: Iterable[Sides], problems: list[str]) -> Comparison:
    """What differs between the two sides of cassettes; a call that only moved from one to another does not."""
    files = list(sides)
    owners = {entry: side.owner for file in files for side in file if side is not None for entry in side.entries}
    found, moved = matched(files)
    located = []
    for pair in found:
        try:
            for change in became(pair):
                entry = change.new or change.old
                assert entry is not None
                located.append(Located(change, owners[entry]))
        except CassetteError as error:
            problems.append(str(error))
    return Comparison(name, _grouped(located), moved, problems)


def _grouped(calls: Iterable[Located]) -> list[Group]:
    groups: dict[str, list[Located]] = {}
    for call in calls:
        title = _TITLES.get(call.change.kind) or "; ".join(map(clean, call.change.causes))
        groups.setdefault(title, []).append(call)
    last = list(_TITLES.values())
    ordered = sorted(groups, key=lambda title: (last.index(title) + 1 if title in last else 0, -len(groups[title])))
    return [Group(title, groups[title]) for title in ordered]
