"""What keeps changing in a call: its recordings compared, argument by argument."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_strategy.cassette.entry import Entry
from llm_strategy.difference import compare
from llm_strategy.difference.attachments import without_numbers
from llm_strategy.difference.prompt_text import PromptText, read
from llm_strategy.nearest import Candidate, find_nearest
from llm_strategy.redaction import scrub
from llm_strategy.values import Request
from llm_strategy.volatility import kinds
from llm_strategy.wire.envelope import HTTPRequest

MOST = 200
"""Recordings that are compared; of more, the nearest one and the last ones."""

_CURES = {
    kinds.RANDOM: "pass a fixed one in tests, or",
    kinds.ADDRESS: "give its class fields or a `__str__` of its own, or",
    kinds.FOLDER: "use pytest's `tmp_path`, which keys do not depend on, or",
    kinds.DATE: "pass a fixed one in tests, or",
    kinds.TIME: "pass a fixed one in tests, or",
    kinds.ORDER: "sort it before it becomes a text, or",
}
_BODY = "the body"
"""Of an HTTP call, all that it consists of."""
_PROMPT = re.compile(r"\.(?:messages?|input|instructions|contents|prompt|system\w*|texts?)\b")
"""Where in a body the text for a model stands; it is not to be ignored."""
_OTHERWISE = "if these are meant to be different calls, all is well; else"


@dataclass(frozen=True)
class Varying:
    """A part of a prompt that is another in each recording. `kind` is what its values look like, if that is known."""

    subject: str
    values: tuple[str, ...]
    kind: str | None

    @property
    def cure(self) -> str:
        """What to do about it."""
        if self.subject.startswith(_BODY):
            path = self.subject.removeprefix(_BODY).strip(" ()")
            cure = "keep it out of the prompt" if _PROMPT.match(path) else f"ignore it: llm_http_ignore = ${path}"
            return f"{_CURES.get(self.kind or '', _OTHERWISE)} {cure}"
        if not self.subject.startswith(("the argument", "the fields")):
            return "keep it out of the text, or make it a parameter that is declared Volatile[...]"
        return f"{_CURES.get(self.kind or '', _OTHERWISE)} declare it Volatile[...]"


@dataclass(frozen=True)
class Variation:
    """What sets a recording apart from `others`, those that differ least from it; `count` are all there are.

    `causes` are differences besides those of arguments.
    """

    entry: Entry
    others: tuple[Entry, ...]
    count: int
    varying: tuple[Varying, ...]
    causes: tuple[str, ...]


def call_site(entry: Entry) -> tuple[str | None, bool]:
    """What two recordings of the same call site have in common."""
    return entry.function, b'\nkind: "http"\n' in entry.raw


def variation(entry: Entry, recordings: Sequence[Entry]) -> Variation:
    """Compare a recording with the others of its call site. Raises CassetteError for one that cannot be read."""
    by_key = {other.key: other for other in recordings if other.key != entry.key}
    others = [other for other in by_key.values() if call_site(other) == call_site(entry)]
    request = entry.request
    own = _parts(request)
    compared = [(other, other.request) for other in _nearest_first(request, entry.function, others)]
    differing = [(_differing(own, _parts(now)), other, now) for other, now in compared]
    if not differing:
        return Variation(entry, (), 0, (), ())
    # Recordings of one call, made again and again, differ in less than those of different calls.
    fewest = min((len(subjects) for subjects, _, _ in differing if subjects), default=0)
    often = Counter(subjects for subjects, _, _ in differing if len(subjects) == fewest)
    subjects = max(often, key=lambda names: often[names])
    alike = [(other, now) for found, other, now in differing if found == subjects]
    # Of those in turn some may differ in nothing but a date, say, and others in what they ask.
    of_kind = [pair for pair in alike if all(_kind(own, _parts(pair[1]), name) for name in subjects)]
    alike = of_kind or alike
    parts = [own, *(_parts(now) for _, now in alike)]
    varying = tuple(_varying(name, [part[name] for part in parts if name in part]) for name in sorted(subjects))
    causes = () if subjects else compare(request, alike[0][1]).causes
    return Variation(entry, tuple(other for other, _ in alike), len(others), varying, causes)


def _nearest_first(request: Request, function: str | None, others: Sequence[Entry]) -> Sequence[Entry]:
    if len(others) <= MOST:
        return others
    at = find_nearest(
        request, function, [Candidate(other.function, other.view, False, other.within) for other in others]
    )
    return list(dict.fromkeys([*([] if at is None else [others[at]]), *others[-MOST:]]))


def _parts(request: Request) -> dict[str, str]:
    """What a request is made of, each part under its name; arguments down to single values."""
    if isinstance(request, HTTPRequest):
        return dict(_leaves(_BODY, request.identity["body"]))
    parts: dict[str, str] = {}
    for number, message in enumerate(request.messages, 1):
        prompt = read(message.content)
        if prompt is not None:
            parts |= _prompt_parts(prompt)
        elif message.role in ("system", "user"):
            parts[f"message {number} ({message.role})"] = message.content
    return parts


def _prompt_parts(prompt: PromptText) -> dict[str, str]:
    parts = {"the docstring": prompt.docstring}
    for name, text in prompt.arguments.items():
        subject = f"the fields of {name}" if name == prompt.definition.bound else f"the argument {name!r}"
        try:
            value = json.loads(without_numbers(text))
        except (ValueError, RecursionError):
            value = text
        parts |= dict(_leaves(subject, value))
    return parts


def _leaves(subject: str, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(subject, item, path + (f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]"))
    elif isinstance(value, list | tuple) and value:
        for at, item in enumerate(value):
            yield from _leaves(subject, item, f"{path}[{at}]")
    else:
        yield (f"{subject} ({path})" if path else subject), json.dumps(value, ensure_ascii=False)


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name in {**one, **other} if one.get(name) != other.get(name))


def _kind(one: Mapping[str, str], other: Mapping[str, str], name: str) -> str | None:
    return kinds.kind_of([one[name], other[name]]) if name in one and name in other else None


def _varying(subject: str, values: Sequence[str]) -> Varying:
    different = tuple(dict.fromkeys(map(scrub, values)))
    return Varying(subject, different, kinds.kind_of(different) if len(different) > 1 else None)
