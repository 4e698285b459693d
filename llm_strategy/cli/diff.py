"""Compare cassettes: calls added and removed, answers and prompts that have changed.

A and B are files, folders, or the first digits of keys. Alone, a file NAME.new.yaml, which a failed recording has left,
is compared with its cassette, and a folder's files of that kind with theirs. Revisions of git, as `main..HEAD`, are
compared in all cassettes, or in those below the paths that follow.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_strategy.cassette.changes import Change, changes
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.naming import NEW_SUFFIX, SUFFIX
from llm_strategy.cassette.rerecording import replaced_path
from llm_strategy.cassette.store import open_file
from llm_strategy.cli import revisions
from llm_strategy.cli.outcome import DIFFER, GOOD, MISSING, USAGE, complain
from llm_strategy.cli.places import files
from llm_strategy.cli.recordings import AmbiguousKey, add_folder, is_key, with_key
from llm_strategy.difference.hunks import visible
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import each_text, scrub_reply, settled
from llm_strategy.values import JSON


@dataclass(frozen=True)
class Sides:
    """Two files, or two keys, to compare. One may be missing; of a part, only what it has itself is compared."""

    old: Path
    new: Path
    is_part: bool = False

    def __str__(self) -> str:
        return scrub_reply(f"{self.old} -> {self.new}")


class _WrongUse(ValueError):
    """Two things that cannot be compared."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "old",
        type=Path,
        metavar="A",
        help="a file, a folder, eight digits or more of a key, or revisions of git: main..HEAD, main...HEAD (since "
        "they parted), HEAD (with what stands here now); a file or folder of that name comes first",
    )
    command.add_argument(
        "rest",
        type=Path,
        metavar="B",
        nargs="*",
        help="another of its kind; none for a file NAME.new.yaml; behind revisions, files and folders to look at",
    )
    add_folder(command)
    command.add_argument("--json", action="store_true", help="one JSON object per pair of files, or per cause")
    revisions.add(command)


@settled()
def run(arguments: argparse.Namespace) -> int:
    if _are_revisions(arguments.old, arguments.rest):
        return revisions.run(arguments)
    code, outcomes = GOOD, Counter[str]()
    try:
        revisions.refuse_formats(arguments)
        if len(arguments.rest) > 1:
            raise _WrongUse("two are compared at a time; more paths belong behind revisions of git, as in main..HEAD")
        compared = list(_sides(arguments.old, next(iter(arguments.rest), None)))
    except (_WrongUse, revisions.WrongUseError, OSError) as error:
        print(error, file=sys.stderr)
        return MISSING if isinstance(error, OSError) else USAGE
    for sides in compared:
        try:
            found = _changes(sides, arguments.folder)
        except AmbiguousKey as error:
            print(error, file=sys.stderr)
            return USAGE
        except (CassetteError, OSError) as error:
            outcomes["cannot be read"] += 1
            code = max(code, complain(sides.new if sides.new.exists() else sides.old, error))
            continue
        outcomes["differ" if found is None or found else "equal"] += 1
        _print(sides, found, as_json=arguments.json, one_of_many=len(compared) > 1)
    if len(compared) > 1 and not arguments.json:
        print(", ".join(f"{outcomes[name]} {name}" for name in ("equal", "differ", "cannot be read") if outcomes[name]))
    return max(code, DIFFER if outcomes["differ"] else GOOD)


def _are_revisions(name: Path, rest: Sequence[Path]) -> bool:
    """Whether git is asked: for what is no file or folder, nor a key beside another."""
    if os.path.lexists(name):
        return False
    if revisions.is_range(str(name)):
        return True
    return name.suffix != SUFFIX and not (rest and is_key(name) and not os.path.lexists(rest[0]))


def _sides(old: Path, new: Path | None) -> Iterator[Sides]:
    """What is to be compared; raises _WrongUse, or FileNotFoundError for what is neither file nor key."""
    if new is None:
        yield from _leftovers(old)
        return
    for path in (old, new):
        if not path.exists() and not is_key(path):
            raise FileNotFoundError(f"there is no file or folder {path}, and it is no key: eight hex digits or more")
    kinds = ["a folder" if path.is_dir() else "a key" if is_key(path) else "a file" for path in (old, new)]
    if kinds[0] != kinds[1]:
        raise _WrongUse(f"{old} is {kinds[0]} and {new} is {kinds[1]}: compare two files, two folders, or two keys")
    if kinds[0] != "a folder":
        yield Sides(old, new)
        return
    names = {path.relative_to(folder) for folder in (old, new) for path in _recordings(folder)}
    yield from (Sides(old / name, new / name) for name in sorted(names))


def _recordings(folder: Path) -> Iterator[Path]:
    return (path for path in files([folder]) if not path.name.endswith(NEW_SUFFIX))


def _leftovers(path: Path) -> Iterator[Sides]:
    """What failed recordings have left, each beside its cassette."""
    if path.is_dir():
        found = [new for new in files([path]) if new.name.endswith(NEW_SUFFIX)]
        if not found:
            raise _WrongUse(f"no file in {path} ends in {NEW_SUFFIX}: there is nothing to compare; name two folders")
    elif path.name.endswith(NEW_SUFFIX):
        found = [path]
    else:
        raise _WrongUse(f"{path} is to be compared with what? Only a file NAME{NEW_SUFFIX} has a cassette of its own")
    for new in found:
        # A test that failed may not have asked for everything.
        yield Sides(replaced_path(new), new, is_part=True)


def _changes(sides: Sides, folder: Path) -> list[Change] | None:
    """What differs, or None where only one of two files in folders is there."""
    if is_key(sides.old) and is_key(sides.new):
        return changes(*(_distinct(with_key(prefix, folder)) for prefix in (sides.old, sides.new)))
    missing = [path for path in (sides.old, sides.new) if not path.exists()]
    if missing:
        present = sides.new if missing[0] == sides.old else sides.old
        if not present.exists() or present.name.endswith(NEW_SUFFIX):
            raise FileNotFoundError(f"there is no cassette at {missing[0]}")
        return None
    found = changes(*map(_entries, (sides.old, sides.new)))
    return [change for change in found if not (sides.is_part and change.kind == "removed")]


def _entries(path: Path) -> Sequence[Entry]:
    if not path.is_file():
        raise CassetteError(f"{path} is no ordinary file, which a cassette has to be; write it to one first")
    file = open_file(path)
    if file.torn:
        print(f"{path}: the last document is torn and was passed over", file=sys.stderr)
    return file.entries


def _distinct(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Without copies: a call that moved to another cassette is recorded in both."""
    return list({entry.raw: entry for entry in reversed(entries)}.values())[::-1]


def _print(sides: Sides, found: list[Change] | None, *, as_json: bool, one_of_many: bool) -> None:
    if as_json:
        print(json.dumps(each_text(_to_json(sides, found), scrub_reply)))
    elif found is None:
        print(f"only in {scrub_reply(str(sides.old.parent if sides.old.exists() else sides.new.parent))}: ", end="")
        print(scrub_reply(sides.old.name))
    elif not found:
        if not one_of_many:
            print(f"{sides}: equal")
    else:
        print(f"{sides}: {_summary(found)}\n")
        for change in found:
            print("\n".join(map(visible, change.lines())), end="\n\n")


def _summary(found: list[Change]) -> str:
    """As `1 call added, 2 answers changed`."""
    counts = Counter(change.kind for change in found)
    said = ((kind if " " in kind else f"call {kind}", count) for kind, count in sorted(counts.items()))
    return ", ".join(f"{count} {kind.replace(' ', 's ' if count > 1 else ' ')}" for kind, count in said)


def _to_json(sides: Sides, found: list[Change] | None) -> dict[str, JSON]:
    if found is None:
        present = "old" if sides.old.exists() else "new"
        return {present: str(getattr(sides, present)), "only": present}
    return {"old": str(sides.old), "new": str(sides.new), "changes": [change.to_json() for change in found]}
