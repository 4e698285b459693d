"""The file of a trace: what stands in it, and how it is read. `docs/reference/trace-format.md` specifies it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from llm_strategy.values import JSON

FORMAT = "llm-strategy trace"
VERSION = 1
KINDS = ("function", "attempt", "call", "tool", "step")


class TraceError(ValueError):
    """A file that is no trace, or of a version that is not known."""


class Trace(NamedTuple):
    """The spans of a file, by their ids in the order in which they began, and what could not be read of it."""

    spans: dict[str, dict[str, JSON]]
    unreadable: int = 0


def header(process: int) -> dict[str, JSON]:
    """The line that each program begins with."""
    return {"format": FORMAT, "version": VERSION, "process": process}


def line(data: Mapping[str, JSON]) -> bytes:
    """A line of the file, in ASCII: whatever a text holds crosses so."""
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def read(path: Path) -> Trace:
    """The spans in a file. Raises OSError, and TraceError where it is no trace.

    A line that a crash has cut, or another program has written, is passed over and counted.
    """
    with path.open("rb") as file:
        return _read(file, path)


def _read(lines: Iterable[bytes], path: Path) -> Trace:
    spans: dict[str, dict[str, JSON]] = {}
    known, unreadable = False, 0
    for number, text in enumerate(lines, 1):
        data = _object(text)
        if data is not None and data.get("format") == FORMAT:
            known = True
            _check(data, path, number)
        elif data is not None and known and _is_span(data):
            # What is said of a span at its end takes the place of what was said at its beginning.
            spans[data["id"]] = data
        elif text.strip():
            unreadable += 1
        if not known and unreadable:
            raise TraceError(f"{path} is no trace: its first line does not say {FORMAT!r}")
    if not known:
        raise TraceError(f"{path} is no trace: it is empty")
    return Trace(spans, unreadable)


def _check(data: Mapping[str, JSON], path: Path, number: int) -> None:
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise TraceError(f"{path}:{number} is of version {version!r} of the format; this release knows {VERSION}")


def _object(text: bytes) -> dict[str, JSON] | None:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _is_span(data: Mapping[str, JSON]) -> bool:
    texts = (data.get("id"), data.get("name"), data.get("kind"), data.get("began"))
    parent, seconds, error = data.get("parent"), data.get("seconds"), data.get("error", {})
    return (
        all(isinstance(text, str) for text in texts)
        and (parent is None or isinstance(parent, str))
        and (seconds is None or isinstance(seconds, int | float))
        and isinstance(error, dict)
    )


class Node:
    """A span and those in it."""

    def __init__(self, span: Mapping[str, JSON]) -> None:
        self.span = span
        self.children: list[Node] = []

    def to_json(self) -> dict[str, JSON]:
        """The span with its `children`."""
        data: dict[str, JSON] = {}
        made = [(self, data)]
        while made:
            node, into = made.pop()
            into |= node.span
            below: list[dict[str, JSON]] = [{} for _ in node.children]
            into["children"] = below
            made += zip(node.children, below, strict=True)
        return data

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """The span and all below it, each with its depth."""
        left = [(depth, self)]
        while left:
            deep, node = left.pop()
            yield deep, node
            left += [(deep + 1, child) for child in reversed(node.children)]


def trees(trace: Trace) -> list[Node]:
    """The spans as trees, in the order in which they began.

    A span whose parent stands in no line begins a tree, and so does one that would be within itself.
    """
    nodes = {name: Node(span) for name, span in trace.spans.items()}
    roots = []
    for name, node in nodes.items():
        parent = nodes.get(node.span.get("parent") or "")
        if parent is None or _is_within(trace, parent.span, name):
            roots.append(node)
        else:
            parent.children.append(node)
    return roots


def _is_within(trace: Trace, span: Mapping[str, JSON], name: str) -> bool:
    seen = set()
    while span["id"] != name:
        seen.add(span["id"])
        above = trace.spans.get(span.get("parent") or "")
        if above is None or above["id"] in seen:
            return False
        span = above
    return True
