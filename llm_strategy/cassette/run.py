"""What a run of tests used of its cassettes: enough to judge, when all is done, what nobody asks for any more.

It imports next to nothing and is JSON, so that the workers of a test runner can hand theirs to one session.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope


class Recorded(NamedTuple):
    """One recording, as it stood when it was judged: `fingerprint` is the SHA-256 of its document."""

    key: str
    occurrence: int
    fingerprint: str


@dataclass
class Run:
    """Gathered from scopes as they close. A cassette goes by its path below the folder of all, else by its own.

    `owners` are the tests and fixtures of the run, by their cassettes; None stands for a cassette that is shared.
    `stale` are the recordings of a cassette with one owner, who has passed, that it did not ask for; `removable` are
    the cassettes among them that are being recorded. Of shared cassettes `asked` says how often each key was asked, at
    most, by one user; `blocks` are those that `use_cassette` opened, and `held` names who prevents a judgement.
    `unsure` are the tests and modules that were skipped or did not pass, by their names without parameters: what they
    would have asked, nobody knows.
    """

    folder: Path
    owners: dict[str, str | None] = field(default_factory=dict)
    stale: dict[str, list[Recorded]] = field(default_factory=dict)
    removable: set[str] = field(default_factory=set)
    asked: dict[str, dict[str, int]] = field(default_factory=dict)
    blocks: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)
    unsure: dict[str, list[str]] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """What a cassette goes by."""
        for folder, file in ((self.folder, path), (os.path.realpath(self.folder), Path(os.path.realpath(path)))):
            if file.is_relative_to(folder):
                return file.relative_to(folder).as_posix()
        return os.path.realpath(path)

    def path(self, name: str) -> Path:
        return self.folder / name

    # What is gathered

    def own(self, path: Path, owner: str | None, stale: Sequence[Recorded], *, removable: bool) -> None:
        """The one owner of a cassette has passed, and did not ask for what is `stale`."""
        name = self.name(path)
        if name in self.owners:
            # Another instance of a fixture may have asked for the rest.
            stale = _common(stale, self.stale.pop(name, ()))
        self.owners[name] = owner
        if stale:
            self.stale[name] = list(stale)
            if removable:
                self.removable.add(name)

    def not_judged(self, path: Path, owner: str | None, *, passed: bool) -> None:
        """A cassette has an owner, of whom no more is known than whether it passed."""
        self.owners[self.name(path)] = owner
        if not passed and owner is not None:
            self.doubt(owner)

    def doubt(self, owner: str) -> None:
        """A test, a fixture or a whole module may not have asked for everything that belongs to it."""
        self.unsure.setdefault(_family(owner), []).append(owner)

    def shared(self, path: Path, user: str | None, asked: Mapping[str, int], *, problem: str | None) -> None:
        """One of several users of a cassette has come to its end; `problem` is why it cannot be judged by this use."""
        name = self.name(path)
        self.owners.setdefault(name, None)
        self._ask(name, asked)
        if problem is not None:
            self.held.setdefault(name, []).append(f"{user or path} {problem}")

    def block(self, path: Path, user: str | None, asked: Mapping[str, int], problem: str | None) -> None:
        """A `use_cassette` block has closed; others that open the same file may have been passed by."""
        self.shared(path, user, asked, problem=problem)
        self.blocks.add(self.name(path))

    def _ask(self, name: str, asked: Mapping[str, int]) -> None:
        known = self.asked.setdefault(name, {})
        for key, times in asked.items():
            known[key] = max(known.get(key, 0), times)

    # Several processes

    def to_json(self) -> dict[str, Any]:
        """For `add` in another process."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "folder"}
        # Named tuples and sets are no JSON to everyone.
        found["stale"] = {name: [list(entry) for entry in entries] for name, entries in self.stale.items()}
        return {name: sorted(value) if isinstance(value, set) else value for name, value in found.items()}

    def add(self, other: Mapping[str, Any]) -> None:
        """Take in what another process gathered in its part of the run."""
        for name, owner in other["owners"].items():
            found = [Recorded(*entry) for entry in other["stale"].get(name, ())]
            if owner is None and name not in self.owners:
                self.owners[name] = None
            elif owner is not None:
                self.own(self.path(name), owner, found, removable=name in other["removable"])
        for name, asked in other["asked"].items():
            self._ask(name, asked)
        for name, problems in other["held"].items():
            self.held.setdefault(name, []).extend(problems)
        self.blocks |= set(other["blocks"])
        for owners in other["unsure"].values():
            for owner in owners:
                self.doubt(owner)

    # What is judged

    def keepers(self, name: str, *, siblings: bool = True) -> list[str]:
        """Who may still want what is stale in a cassette of its own: tests that did not pass, or did not run.

        Where a parameter is inserted before others, the names of their cassettes shift, and each test wants what is
        its neighbour's. `siblings` says whether every test with parameters ran with all the others of its name.
        """
        owner = self.owners.get(name) or ""
        unsure = self.unsure.get(_family(owner), [])
        if "[" not in owner + name:
            unsure = [other for other in unsure if other == owner]
        elif not siblings:
            return [f"not every parameter of {_family(owner)} may have run"]
        return [f"{other} did not pass" for other in unsure]


def _family(owner: str) -> str:
    """A test's name without its parameters."""
    return owner.partition("[")[0]


def _common(some: Sequence[Recorded], others: Sequence[Recorded]) -> list[Recorded]:
    known = set(others)
    return [entry for entry in some if entry in known]


def asked_in(scope: CassetteScope) -> dict[str, int]:
    """How often a scope asked each key of its cassette."""
    asked: dict[str, int] = {}
    for key, occurrence in scope.usage.ordered():
        asked[key] = max(asked.get(key, 0), occurrence)
    return asked


def use_of_block(block: CassetteScope) -> tuple[dict[str, int], str | None]:
    """How often a `use_cassette` block asked each key, and why that says nothing of the others, if so."""
    problem = "missed a recording" if block.misses else "asked without it" if block.rules.mode == "live" else None
    return asked_in(block), problem
