"""Where in its file a function says what it does."""

from __future__ import annotations

import linecache
import tokenize
from collections.abc import Iterator, Sequence
from types import FunctionType

_BETWEEN = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.COMMENT)
"""What stands between the colon of a `def` and the docstring."""


def docstring_place(function: FunctionType) -> tuple[str, int]:
    """The file, and the line in which the docstring begins.

    Without one in the source, such as one that is inherited, it is that of `def`; without the source, as far as the
    function itself knows.
    """
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    line = _docstring_line(lines[code.co_firstlineno - 1 :], code.co_name)
    return code.co_filename, code.co_firstlineno + (line or 0)


def _docstring_line(lines: Sequence[str], name: str) -> int | None:
    """Counted from the first of the lines; None where these are not of the function, as in a file that has changed."""
    tokens = tokenize.generate_tokens(iter(lines).__next__)
    try:
        definition = next(token for token in tokens if token.string == "def")
        if next(tokens).string != name or not _end_head(tokens):
            return None
        first = next(token for token in tokens if token.type not in _BETWEEN and token.string != "(")
    except (StopIteration, SyntaxError, tokenize.TokenError):
        return None
    return (first if _is_docstring(first) else definition).start[0] - 1


def _is_docstring(token: tokenize.TokenInfo) -> bool:
    """Whether it is a plain string; up to Python 3.11 those that are formatted are strings to the tokenizer, too."""
    if token.type != tokenize.STRING:
        return False
    prefix = token.string[: token.string.find(token.string[-1])].lower()
    return "f" not in prefix and "b" not in prefix


def _end_head(tokens: Iterator[tokenize.TokenInfo]) -> bool:
    """Read up to the colon before the body."""
    depth = 0
    for token in tokens:
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if depth == 0 and token.string == ":":
            return True
    return False
