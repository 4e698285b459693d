"""Review what recording again has changed: accept or reject new answers, cause by cause, and undo that.

Without an option it asks about one call after the other; with the extra `tui`, on a terminal, on a screen. CAUSE is
the number of a cause in the list, its text or a part of it that no other has, the id of a call, or `all`. Exit codes: 0
done, 1 where --list has found something, 2 usage, 3 where there is no such cause, or nothing to undo, 5 where a file
cannot be read, or has changed meanwhile, so that something was left as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from llm_strategy.cassette.replaced import accepted_path
from llm_strategy.cli.outcome import CORRUPT, GOOD, MISSING, USAGE
from llm_strategy.cli.pending_text import calls_in_tests, listed, one_line
from llm_strategy.cli.places import counted, printable
from llm_strategy.cli.walk import walk
from llm_strategy.errors import CassetteError
from llm_strategy.redaction import each_text, scrub_reply, settled
from llm_strategy.review import Pending, Review
from llm_strategy.values import JSON

FOUND = 1


class _Unknown(ValueError):
    """What is to be decided is not pending."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="*", type=Path, help="cassettes, or folders of them (default: cassettes)")
    command.add_argument("--list", action="store_true", help="list what is pending, by its causes")
    command.add_argument("--json", action="store_true", help="the list as one JSON object")
    meant = "its number in the list, its text or a part of it, the id of a call, or all; repeatable"
    for name, what in (("accept", "let go of"), ("reject", "bring back")):
        text = f"{what} the old recordings of a cause: {meant}"
        command.add_argument(f"--{name}", metavar="CAUSE", action="append", default=[], help=text)
    command.add_argument("--undo", action="store_true", help="undo the last decision")
    command.add_argument("--dry-run", action="store_true", help="only say what --accept and --reject would do")
    command.add_argument("--plain", action="store_true", help="ask line by line, also where there is a screen")


@settled()
def run(arguments: argparse.Namespace) -> int:
    if (problem := _wrong_use(arguments)) is not None:
        print(problem, file=sys.stderr)
        return USAGE
    # A cassette that is gone may have an accepted state, which can be had back.
    missing = [path for path in arguments.paths if not any(map(os.path.exists, (path, accepted_path(path))))]
    if missing:
        print(f"there is no file or folder {printable(missing[0])}", file=sys.stderr)
        return MISSING
    review = Review(*arguments.paths)
    try:
        if arguments.undo:
            return _undo(review)
        if arguments.list or arguments.json:
            return _list(review, as_json=arguments.json)
        if arguments.accept or arguments.reject:
            return _decide(review, arguments)
        return _ask(review, plain=arguments.plain)
    except (CassetteError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(printable(error), file=sys.stderr)
        return CORRUPT


def _wrong_use(arguments: argparse.Namespace) -> str | None:
    decides = bool(arguments.accept or arguments.reject)
    if arguments.undo + (arguments.list or arguments.json) + decides > 1:
        return "--list, --undo, and --accept and --reject, exclude each other"
    if arguments.dry_run and not decides:
        return "--dry-run says what --accept or --reject would do: give one of them"
    return None


def _ask(review: Review, *, plain: bool) -> int:
    if not plain and _has_screen():
        from llm_strategy.review.screen import run as run_screen

        return run_screen(review)
    return walk(review)


def _has_screen() -> bool:
    """Whether there is a terminal that a screen can be drawn on, and what draws it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return find_spec("textual") is not None


def _undo(review: Review) -> int:
    undone = review.undo()
    if undone is None:
        print("there is no decision to undo", file=sys.stderr)
        return MISSING
    print(f"undone: {printable(undone)}")
    return GOOD


def _list(review: Review, *, as_json: bool) -> int:
    causes = review.by_cause()
    if as_json:
        print(json.dumps(each_text(_to_json(review, causes), scrub_reply)))
    else:
        for number, (cause, items) in enumerate(causes.items(), 1):
            print("\n".join(listed(number, cause, items)))
        _say_rest(review, bool(causes))
    return max(FOUND if causes else GOOD, _complain(review))


def _to_json(review: Review, causes: Mapping[str, Sequence[Pending]]) -> JSON:
    pending = {item.id: item.to_json() for items in causes.values() for item in items}
    told = [
        {
            "number": number,
            "cause": cause,
            "calls": len(items),
            "tests": sorted({item.test for item in items}),
            "pending": [item.id for item in items],
        }
        for number, (cause, items) in enumerate(causes.items(), 1)
    ]
    return {"causes": told, "pending": list(pending.values()), "hidden": review.hidden, "problems": review.problems}


def _say_rest(review: Review, some: bool) -> None:
    if not some:
        print("nothing is pending")
    if review.hidden:
        print(f"{counted(review.hidden, 'call')} not listed: their cassettes are committed as they stand")


def _complain(review: Review) -> int:
    for problem in review.problems:
        print(printable(problem), file=sys.stderr)
    return CORRUPT if review.problems else GOOD


def _decide(review: Review, arguments: argparse.Namespace) -> int:
    causes = review.by_cause()
    code = _complain(review)
    try:
        accepted, rejected = (_chosen(names, causes) for names in (arguments.accept, arguments.reject))
    except _Unknown as error:
        print(error, file=sys.stderr)
        return MISSING
    both = accepted.keys() & rejected.keys()
    if both:
        names = ", ".join(sorted(both)[:3])
        print(f"{counted(len(both), 'call')} would be accepted and rejected as well, such as {names}", file=sys.stderr)
        return USAGE
    for items, accept in ((accepted, True), (rejected, False)):
        if items:
            code = max(code, _carry_out(review, list(items.values()), accept=accept, dry=arguments.dry_run))
    if not arguments.dry_run:
        left = review.pending()
        print(f"left: {calls_in_tests(left)}" if left else "nothing is pending")
    return code


def _carry_out(review: Review, items: Sequence[Pending], *, accept: bool, dry: bool) -> int:
    done, refused = items, []
    if not dry:
        decided = (review.accept if accept else review.reject)(items)
        done, refused = decided.done, decided.refused
    verb = "accepted" if accept else "rejected"
    print(f"{f'would be {verb}' if dry else verb}: {calls_in_tests(done)}")
    for line in refused:
        print(printable(line), file=sys.stderr)
    return CORRUPT if refused else GOOD


def _chosen(names: Sequence[str], causes: Mapping[str, Sequence[Pending]]) -> dict[str, Pending]:
    """The calls that are meant, by their ids; raises _Unknown."""
    return {item.id: item for name in names for item in _meant(name, causes)}


def _meant(name: str, causes: Mapping[str, Sequence[Pending]]) -> Sequence[Pending]:
    everything = {item.id: item for items in causes.values() for item in items}
    if name == "all":
        return list(everything.values())
    if name in causes:
        return causes[name]
    if name in everything:
        return [everything[name]]
    if name.isdecimal() and 0 < int(name) <= len(causes):
        return list(causes.values())[int(name) - 1]
    similar = [cause for cause in causes if name.strip() and name.lower() in cause.lower()]
    if len(similar) == 1:
        return causes[similar[0]]
    known = [one_line(number, cause, items) for number, (cause, items) in enumerate(causes.items(), 1)]
    what = f"{len(similar)} causes contain {name!r}" if similar else f"no cause, and no call, is called {name!r}"
    listing = "\n".join(["pending are:", *known]) if known else "nothing is pending"
    raise _Unknown(f"{printable(what)}; {listing}")
