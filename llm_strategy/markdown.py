"""Pieces of Markdown, as GitHub and GitLab render it, around text that others wrote: it shows, and does nothing.

All of it stands in code, where no tag works, no @name notifies and no #number links: a backslash prevents neither of
the last two.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_TICKS = re.compile("`+")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and what no file can hold."""


def plain(text: str) -> str:
    """The text with what cannot be seen, or written, named by its number."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def code(text: str) -> str:
    """The text on one line, within a paragraph or a list."""
    text = " ".join(plain(text).split("\n"))
    if not text.strip():
        return ""
    ticks = "`" * (_longest(text) + 1)
    blank = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{ticks}{blank}{text}{blank}{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; the columns behind the first are numbers."""
    line = "|".join(["---", *("---:" for _ in head[1:])])
    return "\n".join([_row(head), f"|{line}|", *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    # A backslash keeps the bar within its cell in code, too.
    inside = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(inside)} |"


def fenced(text: str, language: str = "text") -> str:
    """The text as a block, between fences that are longer than any in it."""
    text = plain(text).rstrip("\n")
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def folded(title: str, body: str) -> str:
    """A body of Markdown that opens with a click on its title, which is words of our own."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>"


def _longest(text: str) -> int:
    return max(map(len, _TICKS.findall(text)), default=0)
