"""Where secrets stand in a text, and what has to stand there instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os.path import commonprefix
from typing import NamedTuple

from llm_strategy import project_rules
from llm_strategy.known_secrets import Known
from llm_strategy.leaks.folds import folded
from llm_strategy.leaks.headers import header_values
from llm_strategy.project_rules import PLACEHOLDER, ProjectRules
from llm_strategy.redaction import compiled
from llm_strategy.secret_rules import PRIVATE_KEY, SECRETS, Rule


class Span(NamedTuple):
    """A secret in a text. `hint` says nothing of it that is not public: how all of its kind begin, and its length."""

    start: int
    end: int
    kind: str
    hint: str
    replacement: str

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


def spans(text: str, secrets: Known, *, headers: bool = False) -> Sequence[Span]:
    """The secrets in a text, in order. With `headers`, the values of an HTTP recording's secret headers too."""
    found: list[Span] = []
    for span in _all(text, secrets, headers=headers):
        if not any(span.overlaps(other) for other in found):
            found.append(span)
    return sorted(found)


def replaced(text: str, secrets: Known, *, headers: bool = False) -> str:
    """The text with a placeholder in place of each secret, and everything else as it stands."""
    # What was part of another secret may be one of its own now.
    for _ in range(3):
        pieces, done = [], 0
        for span in spans(text, secrets, headers=headers):
            pieces += [text[done : span.start], span.replacement]
            done = span.end
        if not done:
            break
        text = "".join([*pieces, text[done:]])
    return text


def _all(text: str, secrets: Known, *, headers: bool) -> Iterator[Span]:
    yield from _values(text, secrets)
    if headers:
        for start, end, name in header_values(text):
            yield Span(start, end, f"header {name}", _hint("", end - start), f'"<{name}>"')
    for part in folded(text):
        for span in (*_values(part.text, secrets), *_shapes(part.text)):
            start, end = part.place(span.start, span.end)
            meant = part.text[span.start : span.end]
            # What stands in the file as it is meant is found there anyway.
            if text[start:end] != meant:
                # That by which a secret is told stays as it is written.
                told = len(commonprefix([meant, span.replacement]))
                start, end = part.place(span.start + told, span.end)
                yield span._replace(start=start, end=end, replacement=span.replacement[told:])
    yield from _shapes(text)


def _values(text: str, secrets: Known) -> Iterator[Span]:
    for form, name in secrets.forms:
        for at in _places(text, form):
            yield Span(at, at + len(form), f"value of {name}", _hint("", len(form)), f"<{name}>")


def _shapes(text: str) -> Iterator[Span]:
    rules = project_rules.of(project_rules.current())
    for pattern in rules.secrets:
        for match in _matches(text, pattern, rules):
            if match[0] != PLACEHOLDER:
                yield Span(*match.span(), "llm_redact", _hint("", len(match[0])), PLACEHOLDER)
    lowered = text.lower()
    for rule in (PRIVATE_KEY, *SECRETS):
        seen = lowered if rule.place in ("beside", "random") else text
        if any(anchor in seen for anchor in rule.anchors):
            for match in _matches(text, compiled(rule.pattern), rules):
                yield _span(match, rule)


def _places(text: str, form: str) -> Iterator[int]:
    at = text.find(form)
    while at >= 0:
        yield at
        at = text.find(form, at + len(form))


def _matches(text: str, pattern: re.Pattern[str], rules: ProjectRules) -> Iterator[re.Match[str]]:
    spared = rules.spared(text)
    for match in pattern.finditer(text):
        if match[0] and not any(match.start() < end and start < match.end() for start, end in spared):
            yield match


def _span(match: re.Match[str], rule: Rule) -> Span:
    said = match.end(match.lastindex or 0) if match.lastindex else match.start()
    length = match.end() - said
    return Span(*match.span(), rule.kind, _hint(rule.prefix, length), match.expand(rule.replacement))


def _hint(prefix: str, length: int) -> str:
    return f"{prefix}… ({length} characters)" if prefix else f"({length} characters)"
