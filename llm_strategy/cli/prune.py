"""Remove recordings that no test asks for any more: those that the last complete run of the tests found stale."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.judgement import Judgement, find_judgement, fingerprint, read_judgement
from llm_strategy.cassette.miss import shown, shown_place
from llm_strategy.cassette.naming import NEW_SUFFIX
from llm_strategy.cassette.obstacle import missing
from llm_strategy.cassette.replaced import accepted_path, discard, forget
from llm_strategy.cassette.run import Recorded
from llm_strategy.cassette.stale import recorded, remove
from llm_strategy.cassette.store import open_file
from llm_strategy.cassette.unreferenced import unreferenced
from llm_strategy.cli.judgements import Findings
from llm_strategy.cli.outcome import CORRUPT, GOOD, MISSING, complain
from llm_strategy.cli.places import counted, files, named, printable
from llm_strategy.errors import CassetteError
from llm_strategy.review import Review

_NO_RUN = (
    "no complete run of the tests is on record for what is checked out, so nothing is known to be stale; make one: "
    "pytest (all tests, all passed; it is kept in pytest's cache)"
)


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="*", type=Path, help="files or folders (default: the cassettes of that run)")
    command.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    command.add_argument(
        "--orphans",
        action="store_true",
        help="also delete files whose test or fixture is gone, and those that no test has used, if they are named",
    )
    command.add_argument(
        "--leftovers",
        action="store_true",
        help="also delete what failed re-recordings left (*.new.yaml), and replaced recordings (.replaced) whose "
        "cassettes are committed as they stand, or gone",
    )
    command.add_argument(
        "--force",
        action="store_true",
        help="also remove, from files that are named, what a test that was skipped or did not pass may still ask for",
    )
    command.add_argument(
        "--run", type=Path, metavar="FILE", dest="record", help="the record of the run (default: in .pytest_cache)"
    )


@dataclass
class _Kind:
    """What is removed of one kind: how many, and how many bytes."""

    noun: str
    number: int = 0
    size: int = 0

    def count(self, size: int) -> None:
        self.number += 1
        self.size += size

    def __str__(self) -> str:
        return f"{counted(self.number, self.noun)} ({counted(self.size, 'byte')})"


@dataclass
class _Pruning:
    """What one invocation does, step by step; each step prints what it finds and returns the exit code."""

    arguments: argparse.Namespace
    findings: Findings | None
    calls: _Kind = field(default_factory=lambda: _Kind("stale call"))
    files: _Kind = field(default_factory=lambda: _Kind("file"))
    blobs: _Kind = field(default_factory=lambda: _Kind("blob"))
    gone: dict[Path, Sequence[Recorded] | None] = field(default_factory=dict)

    def look_at(self, path: Path) -> None:
        """One cassette. Raises CassetteError or OSError."""
        file = open_file(path)
        if path.name.endswith(NEW_SUFFIX):
            what = "left by a re-recording that did not pass"
            keep = None if self.arguments.leftovers else "to delete such files: --leftovers"
            self._file(path, what, keep)
            return
        ownerless = self.findings.ownerless(path) if self.findings else None
        if ownerless is not None:
            by = ownerless.recorded_by
            what = f"no test owns it, recorded by {by}" if by else "no test has used it"
            keep = self._kept_orphan(path, by, ownerless.held)
            self._file(path, f"{what}, {counted(len(file.entries), 'call')}", keep)
        elif self.findings:
            self._recordings(path, *self.findings.stale(path))

    def _recordings(self, path: Path, entries: Sequence[Entry], held: Sequence[str]) -> None:
        keep = self._held(path, held)
        for entry in entries:
            size = entry.end - entry.start
            self._say(f"{shown_place(entry)}: stale, {entry.function or entry.key[:12]}, {size:,} bytes", keep)
            if keep is None:
                self.calls.count(size)
        if entries and keep is None:
            self.gone[path] = stale = [recorded(entry) for entry in entries]
            if not self.arguments.dry_run:
                remove(path, stale)
                forget(path, [entry.fingerprint for entry in stale])

    def _held(self, path: Path, held: Sequence[str]) -> str | None:
        if not held or (self.arguments.force and path in self.arguments.paths):
            return None
        return f"{held[0]} in that run; to remove it all the same: --force {named(path)}"

    def _kept_orphan(self, path: Path, recorded_by: str | None, held: Sequence[str]) -> str | None:
        """Why a file is not deleted."""
        if not self.arguments.orphans:
            return f"to delete it: --orphans{'' if recorded_by else f' {named(path)}'}"
        if recorded_by is None and path not in self.arguments.paths:
            return f"a program may use it; to delete it: --orphans {named(path)}"
        return self._held(path, held)

    def _file(self, path: Path, what: str, keep: str | None) -> None:
        size, seen = path.stat().st_size, fingerprint(path)
        self._say(f"{shown(path)}: {what}, {size:,} bytes", keep)
        if keep is None:
            self.files.count(size)
            self.gone[path] = None
            if not self.arguments.dry_run:
                with open_file(path).locked():
                    # What has been written to it since stays.
                    if fingerprint(path) == seen:
                        path.unlink()
                        discard(accepted_path(path))

    def let_go(self, place: Path) -> None:
        """What runs have replaced, where there is nothing to review about it. Raises CassetteError or OSError."""
        for path, why in Review(place).obsolete().items():
            keep = None if self.arguments.leftovers else "to delete such files: --leftovers"
            self._file(path, f"{why}, so that there is nothing to review", keep)

    def remove_blobs(self, folder: Path) -> None:
        """What of the binary content below a folder nothing refers to. Raises CassetteError or OSError."""
        for path in unreferenced(folder, self.gone):
            size = path.stat().st_size
            self._say(f"{shown(path)}: no cassette refers to it, {size:,} bytes", None)
            self.blobs.count(size)
            if not self.arguments.dry_run:
                path.unlink()

    def _say(self, line: str, keep: str | None) -> None:
        print(printable(line if keep is None else f"{line}; kept: {keep}"))

    def total(self) -> str:
        done = [str(kind) for kind in (self.calls, self.files, self.blobs) if kind.number]
        if not done:
            return "nothing is removed"
        return f"{'would remove' if self.arguments.dry_run else 'removed'} {', '.join(done)}"


def run(arguments: argparse.Namespace) -> int:
    try:
        judgement = read_judgement(arguments.record) if arguments.record else find_judgement(Path.cwd())
    except FileNotFoundError:
        print(f"{arguments.record}: there is no such file; {_NO_RUN}", file=sys.stderr)
        return MISSING
    except (ValueError, OSError) as error:
        return complain(arguments.record or Path("the record of the last run"), error)
    pruning = _Pruning(arguments, Findings(judgement) if judgement else None)
    places = arguments.paths or _default(judgement)
    code = GOOD
    if judgement is None:
        print(_NO_RUN, file=sys.stderr)
        code = MISSING
    else:
        tests = counted(judgement.tests, "test")
        print(f"judged by the complete run that ended at {printable(judgement.when)} ({tests})")
    code = max([code, *(_visit(pruning, path) for path in _each(places))])
    code = max([code, *(_step(pruning.let_go, place) for place in places if os.path.exists(place))])
    if code < CORRUPT:
        code = max([code, *(_step(pruning.remove_blobs, folder) for folder in places if os.path.isdir(folder))])
    print(pruning.total())
    return code


def _default(judgement: Judgement | None) -> Sequence[Path]:
    """The folder of the cassettes, and the files elsewhere that the run has used."""
    if judgement is None:
        return [Path("cassettes")]
    elsewhere = (path for path in judgement.stale if not path.is_relative_to(judgement.folder) and path.exists())
    return [Path(shown(path)) for path in (judgement.folder, *elsewhere)]


def _each(places: Sequence[Path]) -> Iterator[Path]:
    """The files of all places, each once, also where one is named beside its folder."""
    seen: set[str] = set()
    for path in files(sorted(places, key=os.path.isdir)):
        if (real := os.path.realpath(path)) not in seen:
            seen.add(real)
            yield path


def _visit(pruning: _Pruning, path: Path) -> int:
    try:
        if not path.exists():
            raise missing(path)
        pruning.look_at(path)
    except (CassetteError, OSError) as error:
        return complain(path, error)
    return GOOD


def _step(step: Callable[[Path], None], folder: Path) -> int:
    try:
        step(folder)
    except (CassetteError, OSError) as error:
        return complain(folder, error)
    return GOOD
