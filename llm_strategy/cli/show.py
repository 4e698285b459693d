"""Show the calls of cassettes: function, prompt and reply."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from llm_strategy.cassette.blob_files import by_reference
from llm_strategy.cassette.recordings import Cassette
from llm_strategy.cli.outcome import GOOD, complain
from llm_strategy.cli.places import add_paths, files
from llm_strategy.errors import CassetteError
from llm_strategy.log import Call
from llm_strategy.transcript import message_text


def add(command: argparse.ArgumentParser) -> None:
    add_paths(command)
    command.add_argument("--json", action="store_true", help="one JSON object per call")


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    for path in files(arguments.paths):
        try:
            for call in Cassette(path):
                print(json.dumps({"file": str(path), **_call_json(call)}) if arguments.json else _call_text(path, call))
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
    return code


def _call_json(call: Call) -> dict[str, object]:
    return {
        "key": call.key,
        "occurrence": call.occurrence,
        "function": call.function,
        "request": by_reference(call.request.to_json()),
        "response": call.response.to_json(),
    }


def _call_text(path: Path, call: Call) -> str:
    lines = [f"=== {path}: {call.function or call.key[:12]} ({call.request.model})"]
    lines += [f"--- {message.role}\n{message_text(message)}" for message in call.request.messages]
    response = call.response
    count = len(response.pieces)
    came = f", in {count} piece{'s' * (count != 1)}" if count else ""
    came += ", closed early" if response.closed_early else ""
    return "\n".join([*lines, f"--- reply{came}\n{response.content}\n"])
