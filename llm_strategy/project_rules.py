"""What a project adds to the rules: expressions of its own, and exceptions from all.

They are configuration, the same on every machine, so they act before a request is hashed, as shapes do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

ENVIRONMENT = "LLM_STRATEGY_REDACT"
"""The environment variable that holds the lines, one after the other; child processes inherit it."""
PLACEHOLDER = "<redacted>"
EXCEPTION = "!"
"""A line that begins so is an exception: what it matches is never taken for a secret."""


class ProjectRules(NamedTuple):
    """Expressions whose matches are secrets, and those whose matches are none."""

    secrets: tuple[re.Pattern[str], ...] = ()
    exceptions: tuple[re.Pattern[str], ...] = ()

    def redact(self, text: str) -> str:
        """The text with a placeholder in place of what the project's expressions match."""
        for pattern in self.secrets:
            # What was replaced is not looked at again.
            pieces = text.split(PLACEHOLDER)
            text = PLACEHOLDER.join([self.substitute(pattern, PLACEHOLDER, piece) for piece in pieces])
        return text

    def substitute(self, pattern: re.Pattern[str], replacement: str, text: str) -> str:
        """As `pattern.sub`, but that empty matches and those that an exception touches stay."""
        if not self.exceptions and pattern not in self.secrets:
            return pattern.sub(replacement, text)
        spared = self.spared(text)

        def replaced(match: re.Match[str]) -> str:
            stays = not match[0] or any(match.start() < end and start < match.end() for start, end in spared)
            return match[0] if stays else match.expand(replacement)

        return pattern.sub(replaced, text)

    def spared(self, text: str) -> Sequence[tuple[int, int]]:
        """Where the exceptions match."""
        return [match.span() for exception in self.exceptions for match in exception.finditer(text) if match[0]]


@lru_cache(maxsize=8)
def parse(lines: str) -> ProjectRules:
    """The rules in the lines of a text. Raises ValueError, which names the line, for what is no expression."""
    secrets: list[re.Pattern[str]] = []
    exceptions: list[re.Pattern[str]] = []
    for number, line in enumerate(lines.splitlines(), 1):
        written = line.strip()
        if not written:
            continue
        is_exception = written.startswith(EXCEPTION)
        expression = written.removeprefix(EXCEPTION).strip()
        try:
            pattern = re.compile(expression, re.MULTILINE)
        except re.error as error:
            raise ValueError(f"line {number} is no regular expression: {written!r} ({error})") from None
        if pattern.match(""):
            raise ValueError(f"line {number} matches the empty text, and so everything: {written!r}")
        (exceptions if is_exception else secrets).append(pattern)
    return ProjectRules(tuple(secrets), tuple(exceptions))


def current() -> str:
    """The lines that hold in this process now."""
    return os.environ.get(ENVIRONMENT, "")


def of(lines: str) -> ProjectRules:
    """The rules of lines that came from the environment; raises ValueError, which names it."""
    try:
        return parse(lines)
    except ValueError as error:
        raise ValueError(f"{ENVIRONMENT}: {error}") from None


def joined(lines: Sequence[str]) -> str:
    """The lines of a session, for the environment. Raises ValueError, which names the line, for what is none."""
    text = "\n".join(line.replace("\n", " ") for line in lines)
    try:
        parse(text)
    except ValueError as error:
        raise ValueError(f"redact: {error}") from None
    return text
