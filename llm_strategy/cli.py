"""The command `llm-strategy`: look at cassettes and check them.

Exit codes: 0 good, 2 usage, 3 missing, 5 corrupt; the highest wins.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_strategy import __version__
from llm_strategy.cassette.blob_files import by_reference
from llm_strategy.cassette.reader import is_own_format
from llm_strategy.cassette.recordings import Cassette
from llm_strategy.cassette.verification import accept, missing_blobs, problems
from llm_strategy.errors import CassetteError
from llm_strategy.log import Call
from llm_strategy.transcript import message_text

GOOD, USAGE, MISSING, CORRUPT = 0, 2, 3, 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A prompt may hold what the terminal cannot show, or what is no Unicode.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(parsed.run(parsed))
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("llm-strategy", description="Look at recorded model calls, and check them.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for run, help_text in ((ls, "list cassettes"), (show, "show the calls of a cassette"), (verify, "check cassettes")):
        command = commands.add_parser(run.__name__, help=help_text, description=(run.__doc__ or "").splitlines()[0])
        command.add_argument("paths", nargs="*", type=Path, help="files or folders (default: cassettes)")
        command.set_defaults(run=run)
        if run is show:
            command.add_argument("--json", action="store_true", help="one JSON object per call")
        if run is verify:
            command.add_argument("--accept", action="store_true", help="sign replies that were edited by hand")
    return parser


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths or [Path("cassettes")]:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*.yaml") if ".locks" not in found.parts)
        else:
            yield path


def ls(arguments: argparse.Namespace) -> int:
    """List cassettes: how many calls each holds, what answered them, which test recorded them."""
    code = GOOD
    for path in _files(arguments.paths):
        try:
            cassette = Cassette(path)
            answered = cassette.header.get("answered_by", "")
            names = answered if isinstance(answered, str) else ", ".join(answered)
            print(f"{path}: {len(cassette)} call{'s' * (len(cassette) != 1)}, answered by {names or 'nobody yet'}")
        except (CassetteError, OSError) as error:
            code = max(code, _complain(path, error))
    return code


def show(arguments: argparse.Namespace) -> int:
    """Show the calls of cassettes: function, prompt and reply."""
    code = GOOD
    for path in _files(arguments.paths):
        try:
            for call in Cassette(path):
                print(json.dumps({"file": str(path), **_call_json(call)}) if arguments.json else _call_text(path, call))
        except (CassetteError, OSError) as error:
            code = max(code, _complain(path, error))
    return code


def verify(arguments: argparse.Namespace) -> int:
    """Check keys and digests; with --accept, sign replies that were edited by hand."""
    code = GOOD
    for path in _files(arguments.paths):
        try:
            if arguments.accept:
                signed = accept(path)
                print(f"{path}: {signed} signed anew" if signed else f"{path}: good")
                continue
            found, missing = list(problems(path)), list(missing_blobs(path))
        except (CassetteError, OSError) as error:
            code = max(code, _complain(path, error))
            continue
        for problem in [*found, *missing]:
            print(problem, file=sys.stderr)
        code = max(code, CORRUPT if found else MISSING if missing else GOOD)
        if not found and not missing:
            own = is_own_format(path.read_bytes())
            print(f"{path}: good" if own else f"{path}: good, though another tool has changed its format or line ends")
    return code


def _complain(path: Path, error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        raise error
    print(error if str(path) in str(error) else f"{path}: {error}", file=sys.stderr)
    return MISSING if isinstance(error, FileNotFoundError) else CORRUPT


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
