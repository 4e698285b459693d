"""What a complete run says of the cassettes: which recordings no test asked for, which files no test owns.

It names what it judged with its hashes: what was recorded or changed since is not meant. A test runner keeps it;
`llm-strategy prune`, `verify` and `ls` read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from llm_strategy.cassette.account import Account
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.folder import yaml_below
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX, test_cassette
from llm_strategy.cassette.replaced import is_set_aside, keep, release
from llm_strategy.cassette.run import Recorded, Run
from llm_strategy.cassette.stale import remove, stale_in
from llm_strategy.cassette.store import open_file
from llm_strategy.errors import CassetteError

VERSION = 1
_SAID = 3
"""Reasons that are kept of why something is held back; one is enough to hold it."""


@dataclass(frozen=True)
class Stale:
    """The stale recordings of one file; `held` says who prevents their removal, if anybody does."""

    entries: Sequence[Recorded]
    held: Sequence[str] = ()


@dataclass(frozen=True)
class Ownerless:
    """A file that no test of the run has or used: its SHA-256, and which test or fixture recorded it, where one did."""

    fingerprint: str
    recorded_by: str | None = None
    held: Sequence[str] = ()


@dataclass(frozen=True)
class Judgement:
    """Of a run below `root`, whose cassettes lie in `folder`; `when` is its end in UTC, `branch` what git had there."""

    root: Path
    folder: Path
    when: str
    tests: int
    stale: Mapping[Path, Stale] = field(default_factory=dict)
    ownerless: Mapping[Path, Ownerless] = field(default_factory=dict)
    branch: str | None = None

    def to_json(self) -> dict[str, Any]:
        stale = {
            self._shown(path): {"entries": [list(entry) for entry in found.entries], "held": list(found.held)}
            for path, found in self.stale.items()
        }
        ownerless = {
            self._shown(path): {**vars(found), "held": list(found.held)} for path, found in self.ownerless.items()
        }
        said = {"version": VERSION, "root": str(self.root), "folder": self._shown(self.folder)}
        said |= {"when": self.when, "branch": self.branch}
        return {**said, "tests": self.tests, "stale": stale, "ownerless": ownerless}

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    @classmethod
    def of(cls, said: Any, root: Path | None = None) -> Judgement:
        """What `to_json` gave, for the project at `root`; raises ValueError for anything else."""
        try:
            if said["version"] != VERSION:
                raise ValueError(f"it has version {said['version']!r}, not {VERSION}")
            base = root or Path(said["root"])
            stale = {
                base / name: Stale([Recorded(*entry) for entry in found["entries"]], found["held"])
                for name, found in said["stale"].items()
            }
            ownerless = {base / name: Ownerless(**found) for name, found in said["ownerless"].items()}
            folder = base / said["folder"]
            return cls(base, folder, str(said["when"]), int(said["tests"]), stale, ownerless, said["branch"])
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"it is no record of a run ({error!r})") from None


# Made by a session


def prune_own(run: Run, account: Account, *, siblings: bool) -> None:
    """Remove what tests that passed did not ask for from the cassettes that they record."""
    for name in sorted(run.removable & run.stale.keys()):
        if run.keepers(name, siblings=siblings):
            continue
        try:
            removed = _remove_kept(run.path(name), _unasked(run, name))
        except (CassetteError, OSError) as error:
            account.notes.append(f"{shown(run.path(name))}: what is stale stays there ({error})")
            continue
        account.count(pruned=len(removed))
        del run.stale[name]


def _remove_kept(path: Path, judged: Sequence[Recorded]) -> Sequence[Entry]:
    """Remove recordings, of which the cassette's accepted state keeps those that anybody has accepted."""
    if not judged or not path.exists():
        return ()
    with open_file(path).locked():
        keep(path)
        removed = remove(path, judged)
    release(path)
    return removed


def judge(run: Run, root: Path, tests: int) -> dict[str, Any]:
    """The judgement of a complete run, as JSON."""
    stale = {}
    for name in sorted({*run.stale, *run.asked}):
        path = run.path(name)
        elsewhere = Path(name).is_absolute() and not path.is_relative_to(os.path.realpath(root))
        if elsewhere or _plain(name) != name:
            # A test's temporary folder, and the like.
            continue
        try:
            entries = stale_in(open_file(path), run.asked[name]) if run.owners[name] is None else _unasked(run, name)
        except (CassetteError, OSError):
            continue
        if entries:
            stale[path] = Stale(entries, _holders(run, name)[:_SAID])
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Judgement(root, run.folder, when, tests, stale, dict(_ownerless(run)), _branch(root)).to_json()


def after(run: Run, before: Any, root: Path) -> dict[str, Any] | None:
    """What an earlier judgement says, without what a later run asked for or has judged otherwise."""
    try:
        earlier = Judgement.of(before, root)
    except ValueError:
        return None
    stale = {}
    for path, found in earlier.stale.items():
        name = run.name(path)
        asked = run.asked.get(name, {})
        left = [entry for entry in found.entries if entry.occurrence > asked.get(entry.key, 0)]
        if run.owners.get(name) is not None:
            left = [entry for entry in left if entry in run.stale.get(name, ())]
        if left:
            stale[path] = Stale(left, found.held)
    ownerless = {path: found for path, found in earlier.ownerless.items() if run.name(path) not in run.owners}
    return replace(earlier, stale=stale, ownerless=ownerless).to_json()


def _unasked(run: Run, name: str) -> list[Recorded]:
    """What is stale in a test's own cassette, and which no block that opened the file has asked for either."""
    asked = run.asked.get(name, {})
    return [entry for entry in run.stale.get(name, ()) if entry.occurrence > asked.get(entry.key, 0)]


def _holders(run: Run, name: str) -> list[str]:
    """Who prevents a judgement of a cassette: of a block that was not entered nobody knows what it would use.

    What marks the tests of a module that was not collected, nobody knows either.
    """
    is_shared = run.owners[name] is None
    own = [] if is_shared else run.keepers(name)
    unsure = _all_unsure(run, modules_only=name not in run.blocks) if is_shared or name in run.blocks else []
    return [*own, *run.held.get(name, ()), *unsure]


def _all_unsure(run: Run, *, modules_only: bool = False) -> list[str]:
    unsure = [owner for owners in run.unsure.values() for owner in owners]
    return [f"{owner} did not pass" for owner in unsure if not (modules_only and "::" in owner)]


def _ownerless(run: Run) -> Iterator[tuple[Path, Ownerless]]:
    for path in yaml_below(run.folder):
        name = run.name(path)
        if name in run.owners or path.name.endswith(NEW_SUFFIX) or not path.is_file() or _plain(name) != name:
            continue
        if is_set_aside(path.relative_to(run.folder)):
            continue
        try:
            owner = open_file(path).header.get("recorded_by")
            mark = fingerprint(path)
        except (CassetteError, OSError):
            continue
        if not isinstance(owner, str):
            yield path, Ownerless(mark, held=_all_unsure(run)[:_SAID])
        elif not any(owner.startswith((f"{part}::", f"{part}/")) for part in run.unsure):
            # Every test has its place; a fixture only where a test that was not skipped has asked for it.
            is_test = name in (test_cassette(owner).as_posix(), test_cassette(owner, twin=True).as_posix())
            yield path, Ownerless(mark, _plain(owner), [] if is_test else _all_unsure(run)[:_SAID])


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def _plain(text: str) -> str:
    """A text without what no UTF-8 holds."""
    return text.encode("utf-8", "backslashreplace").decode()


# Read by commands

PLACE = Path(".pytest_cache", "v", "llm-strategy", "run")


def find_judgement(folder: Path) -> Judgement | None:
    """That of the project around a folder, as it is checked out; raises ValueError for one that cannot be read."""
    for around in (folder, *folder.parents):
        if (around / PLACE).is_file():
            found = read_judgement(around / PLACE)
            return found if found.branch == _branch(found.root) else None
    return None


def _branch(root: Path) -> str | None:
    """What git has checked out, if it looks after the folder: what one branch does not ask for, another may."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        with suppress(OSError, UnicodeError):
            # In a further working tree it is a file that names the folder.
            place = folder / git.read_text("utf-8").removeprefix("gitdir:").strip() if git.is_file() else git
            return (place / "HEAD").read_text("utf-8").strip()
    return None


def read_judgement(path: Path) -> Judgement:
    """The judgement in a file. Where that lies in the place where pytest puts it, the project is the one around it."""
    text = path.read_text("utf-8")
    root = path.absolute().parents[len(PLACE.parts) - 1] if path.absolute().parts[-4:] == PLACE.parts else None
    try:
        return Judgement.of(json.loads(text), root)
    except ValueError as error:
        raise ValueError(f"{shown(path)} cannot be read: {error}; make a new one: pytest") from None
