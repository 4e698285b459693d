"""Headers of recorded HTTP traffic whose values are secrets whatever they look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llm_strategy.leaks.folds import LARGEST, events

NAMES = (
    *("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"),
    *("x-amz-security-token", "cookie", "set-cookie", "openai-organization", "openai-project", "x-auth-token"),
)
_NAMED = re.compile("|".join(map(re.escape, NAMES)), re.IGNORECASE)
# What recorders and their users write in place of a value.
_SPARED = re.compile(
    r"""["']?(?:(?:bearer|basic|token)\s+)?(?:<[^<>]*>|[*x.#-]*|\W*(?:redacted|filtered|dummy|fake|mock|masked|hidden
    |placeholder|sanitized|scrubbed|removed|secret|test|testing|none|null|unused|any)(?:[\W_]*(?:key|token|api|value))*\W*)["']?""",
    re.IGNORECASE | re.VERBOSE,
)
_STRING = r'"(?:[^"\\]|\\.)*+"'
_IN_JSON = re.compile(
    rf'(?<!\\)"({_NAMED.pattern})"\s*+:\s*+(\[(?>(?:\s*+{_STRING}\s*+,?+)*)\s*+\]|{_STRING})', re.IGNORECASE
)
_JSON_TEXT = re.compile(_STRING)


def header_values(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the values of secret headers begin and end, quotes included, with the header's name."""
    if not _NAMED.search(text) or len(text) > LARGEST:
        return
    found = _in_json(text) if text.lstrip("\ufeff \t\r\n").startswith("{") else _in_yaml(text)
    for start, end, name in found:
        if not _SPARED.fullmatch(text[start:end].strip()):
            yield start, end, name


def _in_json(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _IN_JSON.finditer(text):
        for value in _JSON_TEXT.finditer(text, *match.span(2)):
            yield *value.span(), match[1].lower()


def _in_yaml(text: str) -> Iterator[tuple[int, int, str]]:
    """What is no YAML has no headers."""
    headers = _Headers()
    for event, yaml in events(text):
        value = headers.take(event, yaml)
        if value is not None:
            start, end = event.start_mark.index, event.end_mark.index
            # The lines of a block end in a line end that belongs to the file.
            yield start, start + len(text[start:end].rstrip()), value


class _Headers:
    """Follows events to the values of secret headers, of which the name is a key in a mapping called `headers`."""

    def __init__(self) -> None:
        # For each mapping and sequence that is open: its kind, the name that it stands under, and the last key.
        self._levels: list[list[Any]] = []

    def take(self, event: Any, yaml: Any) -> str | None:
        """The header's name where the event is the value of a secret one."""
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
            self._levels.append([kind, self._place(), None])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._levels.pop()
            self._done()
        elif isinstance(event, yaml.ScalarEvent):
            return self._scalar(event.value)
        elif isinstance(event, yaml.AliasEvent):
            self._done()
        return None

    def _place(self) -> tuple[Any, ...]:
        """The names under which the value that comes next stands, the innermost last."""
        if not self._levels:
            return ()
        kind, place, key = self._levels[-1]
        return (*place[-2:], key) if kind == "mapping" else place

    def _scalar(self, value: str) -> str | None:
        if not self._levels:
            return None
        level = self._levels[-1]
        if level[0] == "mapping" and level[2] is None:
            level[2] = value.lower()
            return None
        *_, parent, name = (None, None, *self._place())
        self._done()
        return name if parent == "headers" and name in NAMES and value else None

    def _done(self) -> None:
        """A value is complete: in a mapping the next scalar is a key."""
        if self._levels and self._levels[-1][0] == "mapping":
            self._levels[-1][2] = None
