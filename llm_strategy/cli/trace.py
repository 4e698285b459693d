"""Show a trace as a tree: functions, attempts, model calls and tools, one within the other."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from llm_strategy.cli.outcome import CORRUPT, GOOD, complain
from llm_strategy.cli.paint import Paint
from llm_strategy.cli.places import counted
from llm_strategy.difference.hunks import visible
from llm_strategy.redaction import each_text, scrub
from llm_strategy.report.trees import trees_of_report
from llm_strategy.tracing.format import Node, Trace, TraceError, read, trees
from llm_strategy.tracing.rows import Row, rows
from llm_strategy.values import JSON

_WIDEST = 100
"""Characters of what a function was given, or has returned, or of an error."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path, help="a trace, or the JSON that pytest --llm-report=report.json has written"
    )
    command.add_argument(
        "--json", action="store_true", help="the trees as one JSON document, each span with its children"
    )
    command.add_argument("--last", action="store_true", help="only the tree that began last")


def run(arguments: argparse.Namespace) -> int:
    try:
        trace, named = _read(arguments.file)
    except (TraceError, OSError) as error:
        return complain(arguments.file, error)
    if trace.unreadable:
        print(f"{arguments.file}: left out what cannot be read: {counted(trace.unreadable, 'line')}", file=sys.stderr)
    if arguments.last:
        named = named[-1:]
    if arguments.json:
        print(json.dumps([each_text(node.to_json(), scrub) for _, roots in named for node in roots], indent=2))
    else:
        _show(named)
    return CORRUPT if trace.unreadable else GOOD


def _read(path: Path) -> tuple[Trace, list[tuple[str, list[Node]]]]:
    """What was read, and its trees, each under its title; those of a trace have none."""
    found = trees_of_report(path)
    if found is not None:
        return Trace({}), found
    trace = read(path)
    return trace, [("", [root]) for root in trees(trace)]


def _show(named: list[tuple[str, list[Node]]]) -> None:
    paint = Paint.of(sys.stdout)
    for title, roots in named:
        if title:
            print(paint.title(visible(title)))
        for row in rows(roots):
            indent = "  " * (row.depth + bool(title))
            # Models and files of others must not steer the terminal.
            print(indent + visible(scrub(_text(row))))


def _text(row: Row) -> str:
    function = [] if row.function is None else [_called(row.function, _tool_calls(row.span))]
    return "  ".join([*function, _title(row.span), *_facts(row.span)])


def _title(span: Mapping[str, JSON]) -> str:
    match span["kind"]:
        case "function":
            return _called(span)
        case "tool":
            return f"tool {_called(span)}"
        case _:
            return str(span["name"])


def _tool_calls(call: Mapping[str, JSON]) -> str:
    """What an answer asks for, in the words of a transcript."""
    parts = [part for part in call.get("answer") or () if part.get("type") == "tool_call"]
    return " ".join(f"[calls the tool {part.get('name')}] {_short(part.get('arguments'))}" for part in parts)


def _called(span: Mapping[str, JSON], tool_calls: str = "") -> str:
    """A function or a tool with what it was given and what came of it, as far as that is known."""
    given, result = span.get("arguments"), span.get("result")
    if isinstance(given, Mapping):
        given = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items()]
    listed = f"({_short(', '.join(map(str, given)))})" if isinstance(given, list) else ""
    returned = "" if result is None else f" -> {_short(tool_calls if result == '' else _value(result))}"
    return f"{span['name']}{listed}{returned}"


def _value(result: JSON) -> JSON:
    """What a function has returned, without the object that it came in."""
    try:
        data = json.loads(result) if isinstance(result, str) else result
    except (ValueError, RecursionError):
        return result
    return data["return_value"] if isinstance(data, dict) and list(data) == ["return_value"] else result


def _facts(span: Mapping[str, JSON]) -> Iterator[str]:
    if "state" in span:
        yield str(span["state"])
    elif "occurrence" in span:
        yield "replayed" if span.get("replayed") else "asked"
    tokens = span.get("input_tokens"), span.get("output_tokens")
    if tokens != (None, None):
        yield f"{'?' if tokens[0] is None else tokens[0]} in, {'?' if tokens[1] is None else tokens[1]} out"
    if span.get("repairs"):
        yield f"repaired: {', '.join(map(str, span['repairs']))}"
    for name, value in (span.get("attributes") or {}).items():
        yield f"{name}={_short(value)}"
    if span.get("closed_early"):
        yield "closed early"
    seconds = span.get("seconds", 0)
    if seconds is None:
        yield "not finished"
    elif seconds:
        yield f"{seconds:.3f} s" if seconds < 10 else f"{seconds:.1f} s"
    error = span.get("error")
    if error:
        yield f"! {error.get('type')}: {_short(str(error.get('message')).partition(chr(10))[0])}"


def _short(value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 4]} ..."
