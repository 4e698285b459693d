"""Show what keeps changing in a call: its recording compared with the others of the same function."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown, shown_place
from llm_strategy.cassette.store import open_file
from llm_strategy.cli.outcome import GOOD, MISSING, USAGE, complain
from llm_strategy.cli.places import add_paths, files
from llm_strategy.errors import CassetteError
from llm_strategy.variation import Variation, variation

_SHORTEST = 8
_KEY = re.compile(rf"[0-9a-f]{{{_SHORTEST},64}}")
_SHOWN_KEY = 12
_SHOWN = 5
_LONGEST = 100


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "key", metavar="KEY", help=f"the key of a recorded call, or its first digits ({_SHORTEST} at least)"
    )
    add_paths(command)
    command.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    key = arguments.key.lower()
    if not _KEY.fullmatch(key):
        wanted = f"{_SHORTEST} to 64 hex digits, as `llm-strategy show --json` lists them"
        print(f"{arguments.key!r} is no key: give {wanted}", file=sys.stderr)
        return USAGE
    entries: list[Entry] = []
    code = GOOD
    for path in files(arguments.paths):
        try:
            if not path.exists():
                raise FileNotFoundError(f"there is no cassette at {path}")
            entries += open_file(path).entries
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
    return max(code, _explain(key, entries, as_json=arguments.json))


def _explain(key: str, entries: Sequence[Entry], *, as_json: bool) -> int:
    found = {entry.key: entry for entry in reversed(entries) if entry.key.startswith(key)}
    if not found:
        print(f"no recorded call has a key that begins with {key}", file=sys.stderr)
        return MISSING
    if len(found) > 1:
        print(f"{len(found)} keys begin with {key}; give more digits:", file=sys.stderr)
        for entry in reversed(found.values()):
            print(f"  {entry.key}  {entry.function or 'a model call'} ({shown_place(entry)})", file=sys.stderr)
        return USAGE
    [entry] = found.values()
    try:
        result = variation(entry, entries)
    except (CassetteError, OSError) as error:
        return complain(entry.path, error)
    print(json.dumps(_as_json(result), indent=2) if as_json else "\n".join(_as_text(result)))
    return GOOD


def _as_json(result: Variation) -> dict[str, object]:
    return {
        **_place(result.entry),
        "function": result.entry.function,
        "recordings": result.count + 1,
        "compared": [_place(other) for other in result.others],
        "changing": [
            {"subject": part.subject, "values": part.values, "kind": part.kind, "cure": part.cure}
            for part in result.varying
        ],
        "causes": result.causes,
    }


def _place(entry: Entry) -> dict[str, object]:
    path, _, line = shown_place(entry).rpartition(":")
    return {"key": entry.key, "file": path, "line": int(line)}


def _as_text(result: Variation) -> list[str]:
    lines = [f"{result.entry.function or 'a model call'}, {_named(result.entry)}"]
    if not result.others:
        return [*lines, *_alone(result.entry)]
    count = len(result.others)
    ones = "the one" if count == 1 else "the ones"
    lines.append(f"compared with {count} of {result.count} other recordings of it, {ones} most like it:")
    lines += [f"  {_named(other)}" for other in result.others[:_SHOWN]]
    lines += [f"  and {count - _SHOWN} more"] * (count > _SHOWN)
    for part in result.varying:
        lines += ["", f"keeps changing: {part.subject}"]
        lines += [f"  {_short(value)}" for value in part.values[:_SHOWN]]
        lines += [f"  and {len(part.values) - _SHOWN} more"] * (len(part.values) > _SHOWN)
        lines.append(f"  {f'looks like {part.kind}: ' if part.kind else ''}{part.cure}")
    lines += [f"changed: {cause}" for cause in result.causes]
    return lines


def _named(entry: Entry) -> str:
    return f"{entry.key[:_SHOWN_KEY]} ({shown_place(entry)})"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _alone(entry: Entry) -> list[str]:
    """What to do where there is nothing to compare with."""
    owner = open_file(entry.path).header.get("recorded_by")
    test = f" {owner}" if isinstance(owner, str) else ""
    path = shown(entry.path)
    kept = f"{path.removesuffix('.yaml')}.before.yaml"
    return [
        "this is its only recording: there is nothing to compare. Where its test misses, the miss shows both prompts:",
        f"  pytest{test}",
        "To record it a second time beside this one:",
        f"  cp {path} {kept} && pytest --llm-record=all{test}",
        f"  llm-strategy why {entry.key[:_SHOWN_KEY]}",
    ]
