"""Show recorded calls: function, prompt and reply."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from llm_strategy.cassette.answers import whole_reply
from llm_strategy.cassette.blob_files import by_reference
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.recordings import Cassette
from llm_strategy.chat_tree import ChatTree
from llm_strategy.cli.outcome import GOOD, USAGE, complain
from llm_strategy.cli.places import files
from llm_strategy.cli.recordings import AmbiguousKey, add_folder, is_key, with_key
from llm_strategy.cli.tree import drawn, summary
from llm_strategy.difference.hunks import visible
from llm_strategy.errors import CassetteError
from llm_strategy.log import Call
from llm_strategy.redaction import each_text, scrub, scrub_reply
from llm_strategy.transcript import message_text, tool_name
from llm_strategy.values import JSON, Response
from llm_strategy.wire.contents import packed
from llm_strategy.wire.envelope import HTTPResponse


def add(command: argparse.ArgumentParser) -> None:
    what = "files, folders, or the first digits (eight or more) of a call's key (default: cassettes)"
    command.add_argument("paths", nargs="*", type=Path, help=what)
    add_folder(command)
    command.add_argument("--json", action="store_true", help="one JSON object per call, or per tree")
    command.add_argument("--tree", action="store_true", help="the calls as conversations that share their beginning")


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    for path in arguments.paths or [Path("cassettes")]:
        for place in [path] if is_key(path) else files([path]):
            try:
                calls = _calls(place, arguments.folder)
                if arguments.tree:
                    _show_tree(place, [call for _, call in calls], as_json=arguments.json)
                    continue
                for file, call in calls:
                    print(_call_json(file, call) if arguments.json else _call_text(file, call))
            except AmbiguousKey as error:
                print(error, file=sys.stderr)
                code = max(code, USAGE)
            except (CassetteError, OSError) as error:
                code = max(code, complain(place, error))
    return code


def _calls(place: Path, folder: Path) -> Iterator[tuple[str, Call]]:
    """The calls of a file, or those with a key, each with the file that it stands in."""
    if is_key(place):
        yield from ((shown(entry.path), entry.call(entry.occurrence)) for entry in with_key(place, folder))
    else:
        yield from ((str(place), call) for call in Cassette(place))


def _show_tree(place: Path, calls: list[Call], *, as_json: bool) -> None:
    tree = ChatTree.of(calls)
    if as_json:
        compact = each_text(tree.build_compact_dict(), scrub)
        print(json.dumps({"file": str(place), **compact}))
    else:
        print("\n".join(map(visible, [f"=== {place}: {summary(tree)}", *drawn(tree), ""])))


def _call_json(file: str, call: Call) -> str:
    data = {
        "file": file,
        "key": call.key,
        "occurrence": call.occurrence,
        "function": call.function,
        "request": each_text(by_reference(call.request.to_json()), scrub),
        "response": each_text(_response_json(call.response), scrub_reply),
    }
    return json.dumps(data)


def _call_text(file: str, call: Call) -> str:
    model = f" ({call.request.model})" if call.request.model else ""
    lines = [f"=== {file}: {call.function or 'a call'}{model}, key {call.key[:12]}"]
    if call.request.tools:
        lines.append(f"--- tools\n{', '.join(map(tool_name, call.request.tools))}")
    lines += [f"--- {message.role}\n{scrub(message_text(message))}" for message in call.request.messages]
    response = call.response
    count = len(response.pieces)
    came = f", in {count} piece{'s' * (count != 1)}" if count else ""
    came += ", closed early" if response.closed_early else ""
    text = "\n".join([*lines, f"--- reply{came}\n{scrub_reply(whole_reply(response))}\n"])
    # Models and recordings of others must not steer the terminal.
    return "\n".join(map(visible, text.split("\n")))


def _response_json(response: Response) -> dict[str, JSON]:
    return packed(response.http) if isinstance(response, HTTPResponse) else response.to_json()
